"""What a model learned, beside how often it hits: gain over mean-private, popularity, whom it serves, what it shows.

All figures follow from what :func:`fedrec.evaluation.ranking.evaluate` finds of every user, so that they are the same
however users are divided among tiles and processes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from fedrec.data.draws import Int64s
from fedrec.data.protocol.heldout import HeldOut
from fedrec.evaluation.lists import LENGTH
from fedrec.evaluation.measures import Floats
from fedrec.evaluation.strata import STRATA, strata
from fedrec.evaluation.table import MEAN_PRIVATE, MEASURES, MODEL, MODELS, Measure

Found = Mapping[str, Tensor]


def gain_name(measure: Measure) -> str:
    """The name under which a measure's personalisation gain is logged.

    Example:
        >>> gain_name(Measure("ndcg", "full"))
        'test/gain_full_ndcg_10'
    """
    return measure.name().replace("/", "/gain_")


def stratum_name(measure: Measure, model: str, stratum: str) -> str:
    """The name under which a measure's mean over a stratum is logged.

    Example:
        >>> stratum_name(Measure("ndcg", "full"), "most popular", "tail items")
        'test/popular_full_ndcg_10_tail_items'
    """
    return f"{measure.name(model)}_{stratum.replace(' ', '_')}"


def figure_name(figure: str, model: str = MODEL) -> str:
    """The name under which a figure of a model is logged.

    Args:
        figure: ``popularity_correlation``, ``coverage_10``, ``gini_10``, ``worst_tenth_auc``, ``full_worst_tenth_auc``.
        model: Who ranks, one of :data:`fedrec.evaluation.table.MODELS`.
    """
    return f"test/{MODELS[model]}{figure}"


def told_figures(model: str = MODEL) -> dict[str, str]:
    """The figures that tables show of a model, by what they call them: the names under which they are logged.

    Args:
        model: Who ranks, one of :data:`fedrec.evaluation.table.MODELS`; the gain is the model's alone.
    """
    ndcg = [measure for measure in MEASURES if measure.metric == "ndcg"]
    gains = {f"gain over mean-private, {measure.label}": gain_name(measure) for measure in ndcg if model == MODEL}
    whole = {
        "rank correlation with popularity": "popularity_correlation",
        f"catalogue coverage, lists of {LENGTH}": f"coverage_{LENGTH}",
        f"Gini of exposure, lists of {LENGTH}": f"gini_{LENGTH}",
        "AUC of the worst tenth of clients": "full_worst_tenth_auc",
    }
    figures = {label: figure_name(figure, model) for label, figure in whole.items()}
    return gains | figures | {f"{ndcg[-1].label}, {name}": stratum_name(ndcg[-1], model, name) for name in STRATA}


def over_some_users(found: Found, held_out: HeldOut) -> dict[str, Floats]:
    """Figures that are means over users, of each of the users that they are over.

    - **Personalisation gain**: what a user's measure loses when everybody's private parameters are replaced by their
      mean: model minus mean-private.
    - **Correlation with popularity**: Spearman's correlation of the order of the user's candidates with their numbers
      of training rows, see :func:`fedrec.evaluation.lists.rank_correlation`. Candidates are a uniform sample of the
      items that the user never touched; a sort of all items would take longer than the scores of a small model.
    - **Measures by popularity stratum of the held-out item** and **by client size**, see
      :func:`fedrec.evaluation.strata.strata`; a stratum
      without users has no figure.

    Args:
        found: As :func:`fedrec.evaluation.ranking.evaluate` gives it, on the CPU.
        held_out: What was ranked, of the same users.

    Returns:
        ``float64 [V']`` by the name under which the mean is logged.
    """
    figures: dict[str, Floats] = {}
    parts = {name: who for name, who in strata(held_out).items() if who.any()}
    for model, prefix in MODELS.items():
        if Measure("hr").ranks(model) not in found:
            continue
        figures[figure_name("popularity_correlation", model)] = found[f"{prefix}correlation"].numpy()
        for measure in MEASURES:
            values = measure.values(found[measure.ranks(model)])
            if model == MODEL and measure.ranks(MEAN_PRIVATE) in found:
                figures[gain_name(measure)] = values - measure.values(found[measure.ranks(MEAN_PRIVATE)])
            figures |= {stratum_name(measure, model, name): values[who] for name, who in parts.items()}
    return figures


def over_everything(found: Found, held_out: HeldOut) -> dict[str, float]:
    """Figures of all users together.

    - **Catalogue coverage**: the share of all items I that stand in at least one user's list of ten unseen items, see
      :func:`fedrec.evaluation.lists.first_places`: ties count against an item, so a constant score covers nothing.
    - **Gini of exposure**: of the numbers of lists in which each of all items I stands, see :func:`gini`.
    - **Worst tenth**: the mean AUC of the tenth of the users (rounded up) for whom it is lowest: the share of the items
      that a held-out item is ranked among which stand behind it, ties before it. Hit rates cannot tell: they are 0 for
      any tenth of the users once a tenth of them misses.

    Args:
        found: As :func:`fedrec.evaluation.ranking.evaluate` gives it, on the CPU.
        held_out: What was ranked, of the same users.

    Returns:
        Figures by the name under which they are logged.
    """
    num_items, figures = len(held_out.popularity), {}
    competitors = {"": np.full(len(held_out.users), held_out.candidates.shape[1]), "full_": _competitors(held_out)}
    for model, prefix in MODELS.items():
        if Measure("hr").ranks(model) not in found:
            continue
        shown = found[f"{prefix}list"]
        exposure = torch.bincount(shown[shown >= 0], minlength=num_items).numpy()
        figures[figure_name(f"coverage_{LENGTH}", model)] = float((exposure > 0).mean())
        figures[figure_name(f"gini_{LENGTH}", model)] = gini(exposure)
        for ranking, others in competitors.items():
            rank = found[f"{prefix}{ranking.removesuffix('_') or 'sampled'}"].numpy()
            figures[figure_name(f"{ranking}worst_tenth_auc", model)] = worst_tenth(auc(rank, others))
    return figures


def learned(found: Found, held_out: HeldOut) -> dict[str, float]:
    """All figures of :func:`over_some_users`, as means, and of :func:`over_everything`, by name; arguments as there."""
    means = {name: float(values.mean()) for name, values in over_some_users(found, held_out).items()}
    return means | over_everything(found, held_out)


def gini(exposure: Int64s) -> float:
    """Gini coefficient of how often each item is shown: 0 if all alike, ``1 - 1 / I`` if only one of I items is.

    ``sum_i (2 i - I - 1) x_i / (I sum_i x_i)`` over the numbers x in ascending order, i from 1; 1 of nothing shown.

    Args:
        exposure: ``int64 [I]`` numbers of lists.

    Example:
        >>> gini(np.array([2, 2, 2, 2])), gini(np.array([0, 0, 0, 9]))
        (0.0, 0.75)
    """
    total, size = int(exposure.sum()), len(exposure)
    if not total:
        return 1.0
    return float((2 * np.arange(1, size + 1) - size - 1) @ np.sort(exposure) / (size * total))


def auc(rank: Int64s, competitors: Int64s) -> Floats:
    """Share of the items that a held-out item is ranked among which stand behind it, ``float64 [V]``.

    With one relevant item this is the area under the ROC curve. Where it is ranked among nothing, it is 1.

    Args:
        rank: ``int64 [V]`` ranks, from 1.
        competitors: ``int64 [V]`` among how many other items.

    Example:
        >>> auc(np.array([1, 3]), np.array([4, 4])).tolist()
        [1.0, 0.5]
    """
    return 1 - (rank - 1) / np.maximum(1, competitors)


def worst_tenth(values: Floats) -> float:
    """Mean of the lowest tenth, rounded up; NaN of nobody.

    Example:
        >>> worst_tenth(np.arange(11.0))
        0.5
    """
    count = math.ceil(len(values) / 10)
    return float(np.sort(values)[:count].mean()) if count else math.nan


def _competitors(held_out: HeldOut) -> Int64s:
    """Among how many other items a full ranking ranks each held-out item, ``int64 [V]``."""
    num_items, users, items = len(held_out.popularity), held_out.users.numpy(), held_out.items.numpy()
    seen = np.diff(held_out.seen_indptr.numpy())
    pairs = np.repeat(np.arange(len(seen)), seen) * num_items + held_out.seen_items.numpy()
    wanted = users * num_items + items
    among_seen = np.append(pairs, -1)[np.searchsorted(pairs, wanted)] == wanted
    return np.asarray(num_items - seen[users] - ~among_seen, dtype=np.int64)
