"""The sweeps of ``operating_point/``: the same budget for every method, on any data set, winners as configurations."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedrec.__main__ import main
from fedrec.cli.arguments import configuration_path
from fedrec.commands.points import points_of
from fedrec.errors import InputError
from fedrec.sweep.check import check_against_parser
from fedrec.sweep.driver import Driver
from fedrec.sweep.file import SweepFile
from fedrec.sweep.hyperband import to_stop
from fedrec.sweep.ledger import Trial
from fedrec.sweep.reading import read_sweep_file
from fedrec.sweep.search import number_of_trials, propose
from fedrec.sweep.winner import as_configuration
from tests.compositions import names
from tests.sweep.test_driver import GRID, STAND_IN

FILES = sorted((Path(__file__).parents[2] / "sweeps" / "operating_point").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_taken_by_fit_on_every_data_set(path: Path) -> None:
    assert path.read_text().startswith("# Hypothesis: ")
    sweep = read_sweep_file(path).with_data("amazon-video")
    assert sweep.fit_arguments == ["--config", "data/amazon-video.yaml", "--config", f"method/{path.stem}.yaml"]
    check_against_parser(sweep)


def test_every_method_that_learns_from_others_has_the_same_budget_and_objective() -> None:
    learning = [name for name in names() if not name.startswith("local-")]
    assert [path.stem for path in FILES] == learning, "a method needs a file sweeps/operating_point/<name>.yaml"
    sweeps = [read_sweep_file(path) for path in FILES]
    assert {number_of_trials(sweep) for sweep in sweeps} == {24}
    assert {(sweep.method, sweep.metric, sweep.maximise) for sweep in sweeps} == {("bayes", "val/ndcg_10_best", True)}
    for sweep in sweeps:  # the worse half may be ended from a fifth of the rounds on
        rounds = number_of_rounds(sweep)
        expected = {"type": "hyperband", "min_iter": rounds // 5, "eta": 2} if rounds > 1 else None
        assert sweep.content.get("early_terminate") == expected, sweep.path
    for key, expected in {"data.protocol": ["fair"], "seed_everything": [0, 1, 2]}.items():
        assert all(sweep.space[key].examples() == expected for sweep in sweeps)


def number_of_rounds(sweep: SweepFile) -> int:
    """Rounds of a trial: what the sweep says, or its method's configuration."""
    if "trainer.max_epochs" in sweep.space:
        return int(sweep.space["trainer.max_epochs"].examples()[0])
    method = configuration_path(sweep.fit_arguments[-1])
    return int(yaml.safe_load(method.read_text())["trainer"]["max_epochs"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_worse_half_is_ended_from_a_fifth_of_the_rounds_on(path: Path) -> None:
    sweep = read_sweep_file(path)
    rounds, space = number_of_rounds(sweep), sweep.space
    every = space["trainer.check_val_every_n_epoch"].examples()[0] if "trainer.check_val_every_n_epoch" in space else 1
    # The best so far is logged in every round from the first ranking on, that of round `every`.
    better = [Trial(n, f"a-{n}", {}, state="finished", history=[0.4] * (rounds - every + 1)) for n in (0, 1)]
    seen = [Trial(2, "a-2", {}, history=[0.3] * (number - every + 1)) for number in range(every, rounds + 1)]
    stopped = [number for number, worse in enumerate(seen, start=every) if to_stop(sweep, [*better, worse])]
    assert stopped[:1] == ([] if rounds == 1 else [rounds // 5 + every])


def write(path: Path, **changes: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    command = [*GRID["command"][:5], "--config", "data/filmtrust.yaml", *GRID["command"][5:]]
    path.write_text(yaml.safe_dump(GRID | {"command": command} | changes))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory; trials are stand-ins."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fedrec.jobs.driver.POLL", 0.02)
    monkeypatch.setattr("fedrec.commands.sweep.Driver", partial(Driver, program=STAND_IN))
    monkeypatch.setattr("fedrec.commands.sweep.FEDREC", STAND_IN)
    monkeypatch.setattr("fedrec.sweep.check.check_against_parser", lambda _: None)
    return tmp_path


def test_a_folder_of_sweeps_is_run_and_each_leaves_its_winner(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(desk / "mine" / "a.yaml", parameters={"x": {"values": [0.1, 0.3]}, "seed_everything": {"value": 1}})
    write(desk / "mine" / "b.yaml", parameters={"x": {"values": [-1.0, -2.0, -3.0]}})
    write(desk / "mine" / "c.yaml", parameters={"x": {"values": [0.2]}})
    assert main(["sweep", "mine", "--data", "ml-100k", "--parallel", "2"]) == 1
    out = capsys.readouterr().out
    assert "b: mine/b.yaml: 3 trials in a row failed" in out  # and the others were run
    top = desk / "sweep_runs" / "mine_ml-100k"
    assert yaml.safe_load((top / "a" / "best.yaml").read_text()) == {"x": 0.3}
    head = (top / "a" / "best.yaml").read_text().splitlines()[:2]
    assert head[0].startswith("# a: trial 1 of 2, val/ndcg_10_best 0.3570 with seed 1, ")
    assert head[1] == "# After data/ml-100k.yaml."
    assert yaml.safe_load((top / "c" / "best.yaml").read_text()) == {"x": 0.2}
    assert not (top / "b" / "best.yaml").exists()


def test_either_way_of_ranking_chooses_a_point_of_its_own(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The stand-in ranks x (1 + r / 100) among candidates, (1 - x) (1 - r / 100) among all, in rounds r = 0, 1, .. 19.
    folder = desk / "mine"
    for name, values in {"a": [0.1, 0.3], "b": [0.2, -1.0]}.items():
        metric = {"name": "val/ndcg_10_best", "goal": "maximize"}
        parameters = {"x": {"values": values}, "seed_everything": {"value": 4}, "p": {"value": True}}
        write(folder / f"{name}.yaml", name=name, metric=metric, parameters=parameters)
    out = desk / "found"
    assert main(["sweep", "mine", "--data", "ml-100k", "--select", "full", "--out", str(out)]) == 1
    said = capsys.readouterr().out
    rows = points_of([out / "a", out / "b"]).set_index(["sweep", "chosen_by"])
    assert rows.index.tolist() == [("a", "full"), ("a", "sampled"), ("b", "full"), ("b", "sampled")]
    found = rows[["trial", "round", "ndcg_10", "full_ndcg_10"]].round(6).T.to_dict("list")
    assert found[("a", "full")] == [0, 1, 0.1, 0.9]
    assert found[("a", "sampled")] == [1, 20, 0.357, 0.567]
    assert found[("b", "full")] == [0, 1, 0.2, 0.8]
    day = (out / "a" / "best.yaml").read_text().splitlines()[0].rpartition(", ")[2]
    assert day == f"{rows.loc[('a', 'full'), 'date']}."
    about = rows[["data", "fingerprint", "seed", "trials", "stopped", "failed"]].T.to_dict("list")
    assert about[("b", "full")] == ["ml-100k", 8 * "9e", 4, 2, 0, 1]
    command = "fedrec fit --config data/ml-100k.yaml --checkpoint.select=full --p=true --seed_everything=4 --x=0.1"
    assert rows.loc[("a", "full"), "command"] == command
    lines = [line.split(" | ")[1:4] for line in said.splitlines() if line.startswith("| ")]
    assert lines[2:4] == [
        ["0.900 / 0.100", "0.357 / 0.567", "x 0.1"],
        ["0.800 / 0.200", "0.238 / 0.648", "x 0.2"],
    ]


def test_trials_are_chosen_among_all_items_where_that_is_asked_for(desk: Path) -> None:
    write(desk / "mine" / "a.yaml", metric={"name": "val/ndcg_10_best", "goal": "maximize"})
    sweep = read_sweep_file(desk / "mine" / "a.yaml")
    full = sweep.selected_among_all()
    assert (full.metric, full.maximise) == ("val/full_ndcg_10_best", True)
    assert full.fit_arguments == sweep.fit_arguments  # options there would stand before a trial's own file
    check_against_parser(read_sweep_file(FILES[0]).selected_among_all())
    number, proposed = propose(full, []) or (None, {})
    assert (number, proposed["checkpoint.select"]) == (0, "full")
    best = Trial(3, "a-3", proposed, state="finished", best=0.2)
    text = as_configuration(full, best, 9, "2026-01-02")  # settings, and in words how they were measured
    assert yaml.safe_load(text) == {"x": 0.1}
    assert text.splitlines()[1] == "# After data/filmtrust.yaml, checkpoint.select full."


@pytest.mark.parametrize("metric", ["train/loss", "val/hr_10", "val/full_ndcg_10_best"])
def test_what_no_candidates_rank_is_not_chosen_among_all(desk: Path, metric: str) -> None:
    write(desk / "mine" / "a.yaml", metric={"name": metric, "goal": "maximize"})
    with pytest.raises(InputError, match=rf"line \d+: --select full: metric\.name is '{metric}'; expected val/"):
        read_sweep_file(desk / "mine" / "a.yaml").selected_among_all()


def test_an_objective_among_all_needs_its_word(desk: Path) -> None:
    write(desk / "mine" / "a.yaml", metric={"name": "val/full_ndcg_10_best", "goal": "maximize"})
    with pytest.raises(InputError, match=r"line \d+: metric\.name is .* have checkpoint\.select: \{value: full\}"):
        check_against_parser(read_sweep_file(desk / "mine" / "a.yaml"))


def test_an_option_in_the_command_is_told_where_it_belongs(desk: Path) -> None:
    (desk / "mine").mkdir()
    content = yaml.safe_load(FILES[0].read_text())
    content["command"].insert(-2, "--data.client_fraction=0.5")
    (desk / "mine" / "a.yaml").write_text(yaml.safe_dump(content))
    where = r"\$\{args_json_file\}: stands after --data\.client_fraction, .*write the option under parameters"
    with pytest.raises(InputError, match=where):
        check_against_parser(read_sweep_file(desk / "mine" / "a.yaml"))


def test_some_of_a_folder_are_run(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        write(desk / "mine" / f"{name}.yaml", parameters={"x": {"values": [0.1]}})
    assert main(["sweep", "mine", "--only", "c, a,"]) == 0
    assert sorted(path.name for path in (desk / "sweep_runs" / "mine").iterdir() if path.is_dir()) == ["a", "c"]
    capsys.readouterr()
    for words, message in {
        ("mine", "--only", "a,d"): "--only d: no such sweep in mine; there are a, b, c",
        ("mine", "--only", " "): "--only is blank; there are a, b, c",
        ("mine/a.yaml", "--only", "a"): "--only a: mine/a.yaml is one sweep; expected a folder of such",
    }.items():
        assert main(["sweep", *words]) == 2
        assert message in capsys.readouterr().err


def test_a_folder_without_sweeps_is_refused(desk: Path) -> None:
    (desk / "none").mkdir()
    assert main(["sweep", "none"]) == 2


def test_a_command_without_data_cannot_be_given_others(desk: Path) -> None:
    write(desk / "mine" / "a.yaml", command=GRID["command"])
    with pytest.raises(InputError, match=r"a\.yaml, line \d+: --data: the command names no configuration data/"):
        read_sweep_file(desk / "mine" / "a.yaml").with_data("ml-100k")
