"""From scores to ranks: candidates or all items are scored in tiles of users and items within the memory budget."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from fedrec.data.protocol.heldout import HeldOut
from fedrec.evaluation.lists import LENGTH, first_places, rank_correlation
from fedrec.evaluation.measures import ranks
from fedrec.evaluation.scores import Score
from fedrec.evaluation.tiles import Tiles, all_scores, candidate_scores, unseen_items


def evaluate(scores: Mapping[str, Score], held_out: HeldOut, tiles: Tiles) -> dict[str, Tensor]:
    """Rank the held-out items by several scores, among their candidates and among all unseen items.

    Args:
        scores: Ways to rank by name: the model goes by the empty name, a baseline by its own (``popular``).
        held_out: Users, their held-out items and candidates.
        tiles: How much is scored at once.

    Returns:
        Of every user, by name: ranks ``int64 [V]`` (``sampled``, ``full``, ``popular_sampled``, ``popular_full``, …);
        the first places among all unseen items, ``int64 [V, 10]`` (``list``, ``popular_list``, …, see
        :func:`~fedrec.evaluation.lists.first_places`); and how closely the order of the candidates, which are a uniform
        sample of what the user never touched, follows popularity, ``float64 [V]`` (``correlation``,
        ``popular_correlation``, …, see :func:`~fedrec.evaluation.lists.rank_correlation`).

    Example:
        Most popular items, for two users of four items; user 0 has seen item 1, user 1 item 0:

        >>> held_out = HeldOut(
        ...     stage="test",
        ...     users=torch.tensor([0, 1]),
        ...     items=torch.tensor([3, 1]),
        ...     candidates=torch.tensor([[0], [2]]),
        ...     seen_indptr=torch.tensor([0, 1, 2]),
        ...     seen_items=torch.tensor([1, 0]),
        ...     popularity=torch.tensor([9, 6, 4, 1]),
        ...     rows=torch.tensor([1, 1]),
        ... )
        >>> popular = lambda users, items: held_out.popularity[items].expand(len(users), -1)
        >>> found = evaluate({"popular": popular}, held_out, Tiles(pairs=100, scores=100))
        >>> found["popular_sampled"].tolist(), found["popular_full"].tolist()
        ([2, 1], [3, 1])
        >>> found["popular_list"][:, :3].tolist()
        [[0, 2, 3], [1, 2, 3]]
    """
    by_name: dict[str, Tensor] = {}
    for name, score in scores.items():
        prefix = f"{name}_" if name else ""
        sampled, correlation = among_candidates(score, held_out, tiles)
        full, lists = among_all(score, held_out, tiles)
        found = {"sampled": sampled, "full": full, "list": lists, "correlation": correlation}
        by_name |= {f"{prefix}{kind}": values for kind, values in found.items()}
    return by_name


def ranks_of(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of what is found of users (:func:`evaluate`), what is a rank: ``int64 [V]``."""
    return {name: values for name, values in found.items() if values.dim() == 1 and not values.is_floating_point()}


def sampled_ranks(score: Score, held_out: HeldOut, tiles: Tiles) -> Tensor:
    """Ranks of the held-out items among their candidates, ``int64 [V]``.

    Args:
        score: Scores.
        held_out: Users, their held-out items and candidates.
        tiles: How much is scored at once.
    """
    parts = [ranks(scores[:, 0], scores[:, 1:]) for _, scores in candidate_scores(score, held_out, tiles)]
    return torch.cat([held_out.items[:0], *parts])  # there may be nobody to rank


def among_candidates(score: Score, held_out: HeldOut, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """Ranks as :func:`sampled_ranks` gives them; how the candidates' order follows popularity, ``float64 [V]``."""
    parts, follow = [], []
    for users, scores in candidate_scores(score, held_out, tiles):
        parts.append(ranks(scores[:, 0], scores[:, 1:]))
        follow.append(rank_correlation(scores[:, 1:], held_out.popularity[held_out.candidates[users]]))
    nobody = held_out.items[:0]
    return torch.cat([nobody, *parts]), torch.cat([nobody.double(), *follow])


def full_ranks(score: Score, held_out: HeldOut, tiles: Tiles) -> Tensor:
    """Ranks of the held-out items among all items that their users have not seen, ``int64 [V]``.

    Args:
        score: Scores.
        held_out: Users, their held-out items and what they have seen.
        tiles: How much is scored at once.
    """
    parts = [
        _among_unseen(scores, held_out.items[users, None], unseen_items(held_out, users))
        for users, scores in all_scores(score, held_out, tiles)
    ]
    return torch.cat([held_out.items[:0], *parts])


def among_all(score: Score, held_out: HeldOut, tiles: Tiles) -> tuple[Tensor, Tensor]:
    """Ranks as :func:`full_ranks` gives them, and the first places among all unseen items, ``int64 [V, 10]``."""
    parts, lists = [], []
    for users, scores in all_scores(score, held_out, tiles):
        unseen = unseen_items(held_out, users)
        numbers = scores if scores.is_floating_point() else scores.double()
        lists.append(first_places(numbers.masked_fill(~unseen, float("-inf"))))
        parts.append(_among_unseen(scores, held_out.items[users, None], unseen))
    nobody = held_out.items[:0]
    return torch.cat([nobody, *parts]), torch.cat([nobody.new_empty(0, LENGTH), *lists])


def _among_unseen(scores: Tensor, items: Tensor, unseen: Tensor) -> Tensor:
    """Ranks of ``items [b, 1]`` by ``scores [b, I]`` among the others that are ``unseen [b, I]``, which is used up."""
    unseen.scatter_(1, items, value=False)
    found: Tensor = ranks(scores.gather(1, items)[:, 0], scores, unseen)
    return found


def ranks_of_item(score: Score, held_out: HeldOut, tiles: Tiles, item: int) -> Tensor:
    """Ranks of one item among all items that each user has not seen, ``int64 [V]``; 0 for users who have seen it.

    Args:
        score: Scores.
        held_out: Users and what they have seen.
        tiles: How much is scored at once.
        item: The item.
    """
    parts = []
    for users, scores in all_scores(score, held_out, tiles):
        allowed = unseen_items(held_out, users)
        new = allowed[:, item].clone()
        allowed[:, item] = False
        parts.append(torch.where(new, ranks(scores[:, item], scores, allowed), 0))
    return torch.cat([held_out.items[:0], *parts])  # there may be nobody to rank


def top_items(score: Score, held_out: HeldOut, tiles: Tiles, k: int) -> tuple[Tensor, Tensor]:
    """The K best unseen items of each user, best first, with their scores: ``int64 [V, K]`` and ``[V, K]``.

    Places for which a user has no unseen item left hold the item -1 and the score minus infinity.

    Args:
        score: Scores.
        held_out: Users and what they have seen.
        tiles: How much is scored at once.
        k: How many items each user gets.

    Example:
        >>> held_out = HeldOut(
        ...     stage="test",
        ...     users=torch.tensor([0]),
        ...     items=torch.tensor([3]),
        ...     candidates=torch.tensor([[0]]),
        ...     seen_indptr=torch.tensor([0, 1]),
        ...     seen_items=torch.tensor([1]),
        ...     popularity=torch.tensor([4, 9, 6, 1]),
        ...     rows=torch.tensor([1]),
        ... )
        >>> popular = lambda users, items: held_out.popularity[items].float().expand(len(users), -1)
        >>> items, scores = top_items(popular, held_out, Tiles(pairs=100, scores=100), k=2)  # item 1 was seen
        >>> items.tolist(), scores.tolist()
        ([[2, 0]], [[6.0, 4.0]])
    """
    items, values = [], []
    for users, scores in all_scores(score, held_out, tiles):
        scores = scores.masked_fill(~unseen_items(held_out, users), float("-inf"))
        best = pad(scores, (0, max(0, k - scores.shape[1])), value=float("-inf")).topk(k, dim=1)
        values.append(best.values)
        items.append(torch.where(best.values == float("-inf"), -1, best.indices))
    return torch.cat(items), torch.cat(values)
