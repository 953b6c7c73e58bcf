"""Verdicts."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, ttest_ind, ttest_rel

from fedrec.analysis import comparison
from fedrec.analysis.comparison import differences
from fedrec.analysis.naming import SETTING
from fedrec.analysis.paired import LEVEL
from fedrec.errors import InputError
from fedrec.evaluation import intervals
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


@pytest.mark.parametrize("seeds", range(2, 12))
def test_the_number_of_seeds_makes_no_difference_of_equal_figures(seeds: int) -> None:
    """A mean of six equal numbers is that number but for the last digit."""
    ranks = np.random.default_rng(0).integers(1, 60, 300).tolist()
    names = ["one", *(f"many {seed}" for seed in range(seeds))]
    frame, by_run = runs_of(*((name, ranks) for name in names))
    frame = frame.assign(seed_everything=[0, *range(seeds)], **{SETTING: ["one", *["many"] * seeds]})
    found = differences(frame, by_run, [Measure("ndcg")]).iloc[0]
    assert found[["difference", "effect", "gains", "losses", "detectable"]].tolist() == [0] * 5
    assert (found["p"], found["verdict"]) == (1, "within noise")


def test_two_runs_of_one_setting_and_seed_are_refused_and_no_seed_is_one() -> None:
    frame, ranks = runs_of(("a", [1] * 40), ("b", [50] * 40))
    with pytest.raises(InputError, match="run b: there is another run of X with seed 0; leave one out"):
        differences(frame.assign(**{SETTING: "X"}), ranks, [HR])
    unseeded = frame.assign(seed_everything=[float("nan"), 0.0])
    assert differences(unseeded, ranks, [HR])["verdict"].tolist() == ["worse"]


def test_the_verdict_follows_from_the_test_and_not_from_the_detectable_difference() -> None:
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


def test_false_verdicts_in_a_table_without_differences_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 tables of four rows in which nothing differs at most 5 % hold a verdict."""
    monkeypatch.setattr(comparison, "FLIPS", 999)
    monkeypatch.setattr(comparison, "estimates", partial(intervals.estimates, resamples=99))
    draw, tables = np.random.default_rng(3), 200
    wrong = 0
    for _ in range(tables):
        names = ("one", "two", "three", "four", "five")
        runs = [(name, draw.choice([1, 99], p=[0.3, 0.7], size=150).tolist()) for name in names]
        wrong += set(differences(*runs_of(*runs), [HR])["verdict"]) != {"within noise"}
    assert wrong <= tables * LEVEL + 3 * np.sqrt(tables * LEVEL * (1 - LEVEL))


def ranks(model: list[int], popular: list[int]) -> pd.DataFrame:
    columns = {"sampled": model, "full": model, "popular_sampled": popular, "popular_full": popular}
    return pd.DataFrame({**columns, "mean_private_sampled": popular, "mean_private_full": popular})


def test_every_side_is_averaged_over_its_seeds() -> None:
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
            ("two", "one"): pytest.approx(0.3),  # 0.5 less the mean of 0 and 0.4
        }
    turned = differences(frame, known, [HR], baseline="two").set_index([SETTING, "against"])["difference"]
    assert turned["one", "two"] == pytest.approx(-0.3)
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


def test_hits_of_one_seed_are_counted_exactly() -> None:
    before, after = hits(500, 40, 26)
    found = differences(*runs_of(("one", before), ("two", after)), [HR]).iloc[0]
    assert (found["test"], found["gains"], found["losses"]) == ("McNemar", 40, 26)
    assert found["p"] == found["p_alone"] == binomtest(40, 66).pvalue
    assert np.isnan(found["p_seeds"])
    graded = differences(*runs_of(("one", before), ("two", after)), [Measure("ndcg")]).iloc[0]
    assert graded["test"] == "randomisation"
    # The same users gain and lose the same amount, so that the test is the same but for its 9,999 draws.
    assert graded["p"] == pytest.approx(found["p"], abs=4 * np.sqrt(found["p"] / 9_999))


def seeds_of(**settings: list[list[int]]) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Runs of several seeds: sampled ranks by setting and seed."""
    runs = [(name, seed, own) for name, by_seed in settings.items() for seed, own in enumerate(by_seed)]
    frame = pd.DataFrame([(f"{name}{seed}", seed, name) for name, seed, _ in runs])
    frame.columns = pd.Index(["run", "seed_everything", SETTING])
    return frame, {f"{name}{seed}": pd.DataFrame({"sampled": own}) for name, seed, own in runs}


def test_seeds_that_disagree_are_noise_however_sure_the_users_are() -> None:
    def hit(share: float) -> list[int]:
        return [1] * round(1000 * share) + [99] * round(1000 * (1 - share))

    one = [hit(share) for share in (0.30, 0.31, 0.32)]
    jumping = differences(*seeds_of(one=one, two=[hit(0.2), hit(0.5), hit(0.6)]), [HR]).iloc[0]
    assert jumping["p"] < 0.001
    assert jumping["p_seeds"] > 0.05
    assert jumping["verdict"] == "within noise"
    steady = differences(*seeds_of(one=one, two=[hit(share) for share in (0.42, 0.43, 0.45)]), [HR]).iloc[0]
    assert steady["p_seeds"] == pytest.approx(ttest_ind([0.42, 0.43, 0.45], [0.3, 0.31, 0.32], equal_var=False).pvalue)
    assert (steady["seeds"], steady["seeds_against"], steady["verdict"]) == (3, 3, "better")


def test_a_reference_is_paired_within_its_runs() -> None:
    frame, known = seeds_of(one=[[1] * 40 + [99] * 60, [1] * 45 + [99] * 55, [1] * 41 + [99] * 59])
    known = {run: own.assign(popular_sampled=[1] * 20 + [99] * 80) for run, own in known.items()}
    found = differences(frame, known, [HR], baseline="most popular")
    assert found["against"].tolist() == ["most popular"]
    expected = ttest_rel([0.4, 0.45, 0.41], [0.2] * 3).pvalue
    assert found["p_seeds"].item() == pytest.approx(expected)
    # No seed changes popularity: pairing or not is the same there, and both have no spread where nothing changes.
    same = differences(frame, {run: own.assign(sampled=[1] * 40 + [99] * 60) for run, own in known.items()}, [HR])
    assert same["p_seeds"].item() == 0


def test_two_runs_of_the_same_ranking_quality_are_within_noise_and_a_planted_difference_is_found() -> None:
    draw = np.random.default_rng(0)
    skill = draw.normal(size=2000)

    def trained(shift: float) -> list[int]:
        """Ranks that hold what a user is like and what a seed did to it."""
        noise = skill + draw.normal(size=2000) + shift
        return (1 + np.floor(100 / (1 + np.exp(noise)))).astype(int).tolist()

    measures = [HR, Measure("ndcg")]
    found = differences(*runs_of(("one", trained(0)), ("two", trained(0)), ("three", trained(0.3))), measures)
    verdicts = found.set_index([SETTING, "measure"])["verdict"]
    assert set(verdicts["two"]) == {"within noise"}
    assert set(verdicts["three"]) == {"better"}
