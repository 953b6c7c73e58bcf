"""A reference as a run: its best settings chosen as rounds are, measured as a model is, in a folder like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedrec.data.audit.audit import audit_split
from fedrec.data.audit.text import short
from fedrec.data.federated import FederatedData
from fedrec.data.protocol.heldout import HeldOut
from fedrec.evaluation.baselines import popularity_score
from fedrec.evaluation.histogram import RankHistogram
from fedrec.evaluation.ranking import evaluate, sampled_ranks
from fedrec.evaluation.references import REFERENCES, Values
from fedrec.evaluation.scores import Score
from fedrec.evaluation.tiles import OF_BASELINES
from fedrec.files import write_text
from fedrec.runs.folder import RunFolder
from fedrec.runs.round_table import RoundTable
from fedrec.runs.settings import REFERENCE, ROUND, said
from fedrec.tracking.provenance import write_config, write_fingerprint, write_provenance
from fedrec.tracking.recorder import OBJECTIVE, beside_popular, most_popular
from fedrec.tracking.results import record_test


def measure(
    name: str, tried: Sequence[Values], data: FederatedData, content: Mapping[str, Any], seed: int, folder: RunFolder
) -> None:
    """Measure a reference and write its run folder; what can fail comes before anything is written.

    ``metrics.csv`` has one row, what the best settings score on the selection item: there is no round, and what is of
    rounds (traffic, losses) is not there.

    Args:
        name: One of :data:`~fedrec.evaluation.references.REFERENCES`.
        tried: Values of its options; the best by NDCG@10 on the selection item are measured.
        data: The data, set up.
        content: Its resolved configuration.
        seed: Decides a random order.
        folder: The run folder, not there yet.
    """
    reference, split, validation = REFERENCES[name], data.split, HeldOut.of(data.split, "validation")
    rows: list[dict[str, float]] = []
    for values in tried:
        scores = reference.scores(split, seed, values)
        rows.append(_row(scores[""], validation))
        if len(tried) > 1:
            print(f"{_said(values)}: {OBJECTIVE} {rows[-1][OBJECTIVE]:.4f}", flush=True)
    best = max(range(len(rows)), key=lambda place: rows[place][OBJECTIVE])
    if best < len(tried) - 1:  # the weights of one setting are held at a time
        scores = reference.scores(split, seed, tried[best])
    held_out = HeldOut.of(split, "test")
    found = evaluate({**scores, "popular": popularity_score(held_out.popularity)}, held_out, OF_BASELINES)
    model = {"method": reference.title, **tried[best]}
    _begin(folder, {"seed_everything": seed, REFERENCE: name, "model": model, "data": dict(content)}, data, rows[best])
    about: dict[str, Any] = {
        "method": reference.title,
        "settings": _said(tried[best]),
        "checkpoint": None,
        "rounds": 0,
        "trained": 0,
        "select": "sampled",
        "seed": seed,
        "cost": {},
        "tried": [{**values, OBJECTIVE: row[OBJECTIVE]} for values, row in zip(tried, rows, strict=True)],
    }
    record_test(folder, about, split, held_out, found)


def _begin(folder: RunFolder, config: Mapping[str, Any], data: FederatedData, row: Mapping[str, float]) -> None:
    """Everything that ``fit`` leaves behind before a test."""
    folder.path.mkdir(parents=True, exist_ok=True)
    audit = short(audit_split(data.interactions, data.split))
    write_config(folder, config)
    write_provenance(folder, 1, {})
    write_fingerprint(folder, data.split)
    write_text(folder.audit, f"{audit}\n")
    RoundTable(folder.metrics).append(row)
    print(audit, f"run folder {folder.path}", sep="\n", flush=True)


def _row(score: Score, held_out: HeldOut) -> dict[str, float]:
    """Figures on the selection item, under the names that rounds have them."""
    metrics = RankHistogram()
    metrics.update(sampled_ranks(score, held_out, OF_BASELINES))
    row = {f"val/{name}": float(value) for name, value in metrics.compute().items()}
    best = {f"{OBJECTIVE}_best": row[OBJECTIVE]}
    return {ROUND: 1.0, **row, **beside_popular(row, most_popular(held_out)), **best}


def _said(values: Values) -> str:
    return ", ".join(said(*value) for value in values.items())
