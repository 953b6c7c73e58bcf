"""Names of measures."""

from __future__ import annotations

import itertools

import pytest

from fedrec.evaluation.table import MEASURES, METRIC_LABELS, MODELS, Measure, named

ALL = [
    (model, Measure(metric, ranking, k))  # type: ignore[arg-type]
    for model, metric, ranking, k in itertools.product(MODELS, METRIC_LABELS, ("sampled", "full"), (1, 10, 20))
]


@pytest.mark.parametrize(("model", "measure"), ALL)
def test_a_name_says_who_ranks_and_what_is_measured(model: str, measure: Measure) -> None:
    stage, _, name = measure.name(model, "val").partition("/")
    assert stage == "val"
    assert named(name) == (model, measure)


def test_names_columns_and_labels_are_distinct() -> None:
    assert len({measure.name(model) for model, measure in ALL}) == len(ALL)
    assert len({measure.ranks(model) for model, measure in ALL}) == 2 * len(MODELS)
    assert [measure.label for measure in MEASURES] == ["sampled HR@10", "sampled NDCG@10", "full HR@10", "full NDCG@10"]


@pytest.mark.parametrize("name", ["loss", "hr", "hr_10_best", "popular_loss", "full_full_hr_10", "hr_", "xhr_10"])
def test_other_names_are_no_measures(name: str) -> None:
    assert named(name) is None
