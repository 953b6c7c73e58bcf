"""Verdicts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, ttest_rel

from fedrec.analysis import comparison
from fedrec.analysis.comparison import LEVEL, detectable, differences, holm
from fedrec.analysis.naming import SETTING
from fedrec.errors import InputError
from fedrec.evaluation.table import Measure

HR = Measure("hr")


def runs_of(*settings: tuple[str, list[int]]) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Runs of one seed, with nothing but the model's sampled ranks."""
    frame = pd.DataFrame({"run": [name for name, _ in settings], "seed_everything": 0})
    frame[SETTING] = frame["run"]
    return frame, {name: pd.DataFrame({"sampled": ranks}) for name, ranks in settings}


def hits(users: int, gains: int, losses: int) -> tuple[list[int], list[int]]:
    """Ranks under a baseline and under another setting with which some users gain a hit and some lose one."""
    kept = [1] * ((users - gains - losses) // 2)
    missed = [99] * (users - gains - losses - len(kept))
    return [99] * gains + [1] * losses + kept + missed, [1] * gains + [99] * losses + kept + missed


def test_the_verdict_follows_from_the_interval_and_not_from_the_detectable_difference() -> None:
    before, after = hits(943, 50, 26)
    found = differences(*runs_of(("one", before), ("two", after)), [HR]).iloc[0]
    # Mean 24/943; deviation of the differences 0.2832, its standard error 0.00922.
    assert found["difference"] == pytest.approx(0.02545, abs=1e-5)
    assert (found["low"], found["high"]) == pytest.approx(
        (0.02545 - 1.96 * 0.00922, 0.02545 + 1.96 * 0.00922), abs=1e-3
    )
    assert found["detectable"] > found["difference"]
    assert found["verdict"] == "better"
    assert differences(*runs_of(("one", after), ("two", before)), [HR]).iloc[0]["verdict"] == "worse"
    assert differences(*runs_of(("one", before), ("two", before)), [HR]).iloc[0]["verdict"] == "within noise"


def test_a_table_of_many_rows_asks_for_more() -> None:
    before, after = hits(943, 50, 26)  # p is about 0.006
    same = [(f"same {number}", before) for number in range(12)]
    found = differences(*runs_of(("one", before), *same, ("two", after)), [HR]).set_index(SETTING)
    assert found.loc["two", "low"] > 0
    assert found.loc["two", "verdict"] == "within noise"
    assert found.loc["two", "p"] == pytest.approx(13 * 0.006, abs=13 * 0.002)


def test_many_rows_leave_room_for_a_verdict() -> None:
    before, after = hits(200, 60, 0)
    same = [(f"same {number}", before) for number in range(300)]
    found = differences(*runs_of(("one", before), *same, ("two", after)), [HR]).set_index(SETTING)
    assert found.loc["two", "verdict"] == "better"
    assert set(found["verdict"].drop("two")) == {"within noise"}


@pytest.mark.parametrize("gains", [26, 40, 45, 60])
def test_agreement_with_the_paired_tests_of_scipy(gains: int) -> None:
    before, after = hits(500, gains, 26)
    p = differences(*runs_of(("one", before), ("two", after)), [HR]).iloc[0]["p"]
    values = HR.values(after), HR.values(before)
    randomised = permutation_test(
        values, lambda one, two, axis: np.mean(one - two, axis), permutation_type="samples", n_resamples=9_999, rng=0
    ).pvalue
    student = ttest_rel(*values).pvalue
    # Student's distribution has no steps, a resample moves by one user, a change of sign by two: each counts all of the
    # step that it stands on. To the error of 9,999 draws ours lies between the others.
    error = 4 * np.sqrt(2 * p * (1 - p) / 9_999) + 1e-3
    assert student - error <= p <= randomised + error
    assert randomised - student < 0.1


def test_false_verdicts_in_a_table_without_differences_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 tables of four rows in which nothing differs at most 5 % hold a verdict."""
    monkeypatch.setattr(comparison, "RESAMPLES", 999)
    draw, tables = np.random.default_rng(3), 200
    wrong = 0
    for _ in range(tables):
        names = ("one", "two", "three", "four", "five")
        runs = [(name, draw.choice([1, 99], p=[0.3, 0.7], size=150).tolist()) for name in names]
        wrong += set(differences(*runs_of(*runs), [HR])["verdict"]) != {"within noise"}
    assert wrong <= tables * LEVEL + 3 * np.sqrt(tables * LEVEL * (1 - LEVEL))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_step_by_step(p: list[float]) -> None:
    corrected = holm(p)
    rejected, level = set(), 0.05
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        if p[place] * (len(p) - rank) > level:
            break
        rejected.add(place)
    assert {place for place, value in enumerate(corrected) if value <= level} == rejected
    assert all(one >= two for one, two in zip(corrected, p, strict=True))


def test_detectable_difference() -> None:
    # Of 100 users 10 gain a hit and 6 lose theirs: mean 0.04; squares sum to 16, so s^2 = (16 - 100 * 0.04^2) / 99
    # and s = 0.40000. With z = 1.95996 + 0.84162 the detectable difference is 2.80158 * 0.4 / 10 = 0.11206.
    assert detectable(np.array([1.0] * 10 + [-1.0] * 6 + [0.0] * 84)) == pytest.approx(0.11206, abs=2e-5)
    assert detectable(np.zeros(9)) == 0
    assert np.isnan(detectable(np.ones(1)))


def ranks(model: list[int], popular: list[int]) -> pd.DataFrame:
    columns = {"sampled": model, "full": model, "popular_sampled": popular, "popular_full": popular}
    return pd.DataFrame({**columns, "mean_private_sampled": popular, "mean_private_full": popular})


def test_settings_are_compared_over_the_seeds_that_both_have() -> None:
    frame = pd.DataFrame({"run": ["a", "b", "c"], "seed_everything": [0, 1, 1], SETTING: ["one", "one", "two"]})
    known = {
        "a": ranks([99] * 10, [99] * 10),
        "b": ranks([1] * 4 + [99] * 6, [99] * 10),
        "c": ranks([1] * 5 + [99] * 5, [99] * 10),
    }
    found = differences(frame, known)
    assert found["measure"].unique().tolist() == ["sampled NDCG@10", "full NDCG@10"]
    for _, part in found.groupby("measure"):
        assert part.set_index([SETTING, "against"])["difference"].to_dict() == {
            ("one", "most popular"): pytest.approx(0.2),  # the mean of 0 and 0.4
            ("one", "mean-private"): pytest.approx(0.2),
            ("two", "most popular"): pytest.approx(0.5),
            ("two", "mean-private"): pytest.approx(0.5),
            ("two", "one"): pytest.approx(0.1),  # seed 1 alone
        }
    turned = differences(frame, known, [HR], baseline="two").set_index([SETTING, "against"])["difference"]
    assert turned["one", "two"] == pytest.approx(-0.1)
    assert ("two", "one") not in turned


def test_users_are_matched_by_id() -> None:
    frame, known = runs_of(("one", [1, 99, 1, 99]), ("two", [1, 99, 1, 99]))
    known = {name: own.set_axis(list("abcd")) for name, own in known.items()}
    known["two"] = known["two"].iloc[::-1]
    assert differences(frame, known, [HR])["high"].tolist() == [0]


def test_what_cannot_be_compared() -> None:
    frame, known = runs_of(("one", [1, 2]), ("two", [1, 2]))
    with pytest.raises(InputError, match=r"run two ranks other users .*\(2 and 2\)"):
        differences(frame, known | {"two": known["two"].set_axis([0, 7])}, [HR])
    with pytest.raises(InputError, match="baseline three: no tested setting is called so; there are one; two"):
        differences(frame, known, [HR], baseline="three")
    assert differences(frame, {}).empty
