"""The command line: light answers, configurations, predictions, and one message for everything that is wrong."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fedrec import __version__, models
from fedrec.__main__ import COMMANDS, HELP, main
from tests import small_runs

MODEL = ["--model.recommender=NCF", "--model.client=LocalTraining", "--model.server=MeanServer"]
FIT = ["fit", *MODEL, "--data=Synthetic"]
RECOMMENDERS = [name for name in models.__all__ if name != "Recommender"]
FILE = ["fit", *MODEL, "--data=InteractionFile", "--data.path=own.csv"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder with nothing on the command line of the test's own process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fedrec"])
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.mark.parametrize("argv", [[], ["--help"], ["--version"], ["data", "list"], ["data", "--help"], ["fti"]])
def test_light_commands_import_neither_torch_nor_lightning(argv: list[str]) -> None:
    code = (
        "import sys; from fedrec.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'lightning', 'wandb'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    found = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_help_names_every_command_and_what_to_type_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.index("fedrec demo") < text.index("fedrec fit")
    assert all(f"\n  {name} " in text for name in COMMANDS)


def commands(text: str) -> list[list[str]]:
    """The ``fedrec fit`` commands of a text that name a configuration, without their comments."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.strip().startswith("fedrec fit --config")]
    return [line[1:] for line in words]


@pytest.mark.parametrize("source", ["help", "README.md", "docs/uploads.md"])
def test_shown_commands_are_understood(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    pages = Path(__file__).parents[2]
    shown = commands(HELP if source == "help" else (pages / source).read_text(encoding="utf-8"))
    assert shown
    for argv in shown:
        with pytest.raises(SystemExit) as ended:
            main([*argv, "--print_config"])
        assert ended.value.code == 0, argv


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fedrec {__version__}\n"


def test_configurations_compose_and_options_win(capsys: pytest.CaptureFixture[str]) -> None:
    configurations = ["data/filmtrust.yaml", "method/fedrecgel.yaml", "raised/filmtrust_fedrecgel.yaml"]
    argv = ["fit", *(word for name in configurations for word in ("--config", name))]
    with pytest.raises(SystemExit) as ended:
        main([*argv, "--model.client.rho_shared", "0.5", "--seed_everything", "7", "--print_config"])
    assert ended.value.code == 0
    found = yaml.safe_load(capsys.readouterr().out)
    client = found["model"]["client"]["init_args"]
    assert found["data"]["class_path"].endswith(".FilmTrust")
    assert found["data"]["init_args"]["protocol"] == "fedrecgel"
    assert (client["rho_shared"], client["rho_private"], client["lr"]) == (0.5, 0.02, 0.01)
    assert found["model"]["server"]["init_args"]["lr"] == 0.01
    assert (found["trainer"]["max_epochs"], found["seed_everything"]) == (300, 7)


def test_a_file_of_the_users_comes_before_a_shipped_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "method" / "fedncf.yaml"
    own.parent.mkdir()
    own.write_text("trainer:\n  max_epochs: 77\n")
    with pytest.raises(SystemExit):
        main(["fit", "--config", "method/fedncf.yaml", *MODEL, "--data=Synthetic", "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["max_epochs"] == 77


WRONG = {
    "unknown command": (["fti"], "fti: no such command; did you mean fit?"),
    "nothing chosen": (["fit"], "--model.recommender"),
    "unknown option": ([*FIT, "--nonsense=3"], "no such option: --nonsense=3"),
    "mistyped option": ([*FIT, "--trainer.max_epoch=3"], "did you mean --trainer.max_epochs?"),
    "mistyped argument": ([*FIT, "--model.client.rhoshared=1"], "did you mean --model.client.rho_shared?"),
    "stray word": ([*FIT, "stray"], "no such option: stray"),
    "unknown data set": (["fit", *MODEL, "--data=MovieLens"], "data: there is no MovieLens; there are: "),
    "unknown recommender": (
        [*FIT, "--model.recommender=Foo"],
        f"model.recommender: there is no Foo; there are: {', '.join(sorted(RECOMMENDERS))}\n",
    ),
    "not a recommender": ([*FIT, "--model.recommender=pathlib.Path"], "pathlib.Path is no Recommender"),
    "unknown protocol": ([*FIT, "--data.protocol=foo"], "data.protocol: expected one of 'fair', 'fedrecgel'"),
    "not a number": ([*FIT, "--model.client.lr=abc"], "model.client.lr: expected a number, got abc"),
    "not whole": ([*FIT, "--trainer.max_epochs=x"], "trainer.max_epochs: expected a whole number, got x"),
    "rho below 0": ([*FIT, "--model.client.rho_shared=-1"], "model.client.rho_shared=-1.0"),
    "fraction 0": ([*FIT, "--data.client_fraction=0"], "client_fraction is 0.0; expected a number above 0"),
    "fraction above 1": ([*FIT, "--data.client_fraction=1.5"], "client_fraction is 1.5"),
    "nobody drawn": ([*FIT, "--data.plan.users=9", "--data.plan.rows=90", "--data.overrides.candidates=9"], "fraction"),
    "seed below 0": ([*FIT, "--seed_everything=-1"], "seed_everything: expected a whole number of at least 0, got -1"),
    "no seed": ([*FIT, "--seed_everything=true"], "seed_everything: expected a whole number of at least 0, got true"),
    "linked seed": ([*FIT, "--model.seed=3"], "seed_everything"),
    "checkpoint never": ([*FIT, "--checkpoint.every_n_rounds=0"], "checkpoint.every_n_rounds=0: expected at least 1"),
    "no such format": ([*FIT, "--recommend.output=x.txt"], "recommend.output=x.txt: expected a name that ends in .csv"),
    "no accelerator": ([*FIT, "--trainer.accelerator=foo"], "accelerator"),
    "an accelerator without its package": ([*FIT, "--trainer.accelerator=tpu"], "trainer: Requirement 'torch_xla"),
    **{
        f"{callback} of no metric": (
            [*FIT, f"--trainer.callbacks{plus}={callback}", "--trainer.callbacks.monitor=val/ndcg"],
            "trainer.callbacks.monitor is 'val/ndcg', which fit never logs; did you mean val/ndcg_5?",
        )
        for callback, plus in (("EarlyStopping", ""), ("EarlyStopping", "+"), ("ModelCheckpoint", ""))
    },
    **{
        f"{metric}, which {callback} cannot watch": (
            [*FIT, f"--trainer.callbacks={callback}", f"--trainer.callbacks.monitor={metric}"],
            f"trainer.callbacks.monitor is {metric!r}, which callbacks cannot watch; did you mean {meant}?",
        )
        for callback in ("EarlyStopping", "ModelCheckpoint")
        for metric, meant in (("val/ndcg_10_best", "val/ndcg_10"), ("val/gap_ndcg_10", "val/ndcg_10"))
    },
    "a number of rounds, which EarlyStopping does not see": (
        [*FIT, "--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=epoch"],
        "trainer.callbacks.monitor is 'epoch', which fit never logs; expected one of val/hr_5, ",
    ),
    "a metric of nothing": (
        [*FIT, "--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=nope"],
        "trainer.callbacks.monitor is 'nope', which fit never logs; expected one of val/hr_5, val/hr_10, ",
    ),
    "a metric that this fit does not log": (
        [*FIT, "--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/full_hr_10"],
        "trainer.callbacks.monitor is 'val/full_hr_10', which fit logs with --checkpoint.select full\n",
    ),
    **{
        f"an argument that is missing in {option}": (
            [*FIT, f"--{option}={made}"],
            f"fedrec: error: {option.removesuffix('+')}.{argument} is missing\n",
        )
        for option, made, argument in (
            ("trainer.logger", "CSVLogger", "save_dir"),
            ("trainer.callbacks", "EarlyStopping", "monitor"),
            ("trainer.callbacks+", "EarlyStopping", "monitor"),
            ("model.recommender", "ItemBias", "of"),
        )
    },
    **{
        f"precision {name}": (
            [*FIT, f"--trainer.precision={name}"],
            f"trainer.precision={name}: expected 32-true, or bf16-mixed for the products of scores alone; all else is "
            "computed in float32",
        )
        for name in ("bf16-true", "16-mixed", "64-true")
    },
    "products of no scores": (
        ["fit", "--config=data/synthetic.yaml", "--config=method/fcf.yaml", "--trainer.precision=bf16-mixed"],
        "trainer.precision=bf16-mixed: model.client=FCF follows no gradients of scores; expected 32-true",
    ),
    "evaluated never": (
        [*FIT, "--trainer.check_val_every_n_epoch=0"],
        "trainer.check_val_every_n_epoch=0: expected a number of rounds, at least 1",
    ),
    "evaluated within a round": (
        [*FIT, "--trainer.val_check_interval=2.5"],
        "trainer.val_check_interval=2.5: a round is one batch; every how many rounds to measure is trainer.check_val",
    ),
    "no batch": ([*FIT, "--trainer.limit_train_batches=0"], "trainer.limit_train_batches=0"),
    "clipping": ([*FIT, "--trainer.gradient_clip_val=1"], "trainer: Automatic gradient clipping is not supported"),
    "no such place": ([*FIT, "--trainer.default_root_dir=list.yaml/x"], "list.yaml/x/runs"),
    "no such file": (["fit", "--config=nosuch.yaml"], "nosuch.yaml: no such file, and not one of the shipped: data/"),
    "option before config": ([*FIT, "--config=data/synthetic.yaml"], "stands after --model.recommender"),
    "not YAML": (["fit", "--config=broken.yaml"], "broken.yaml, line 2: not YAML"),
    "a null character": (["fit", "--config=null.yaml"], "null.yaml, line 3: holds a null character"),
    "a blank option alone": (["fit", "--config=blank.yaml"], "blank.yaml: holds no value, trainer.callbacks is blank"),
    "blank arguments": (
        ["fit", "--config=data/synthetic.yaml", "--config=arguments.yaml"],
        "data: expected names and values, got null",
    ),
    "not a mapping": (["fit", "--config=list.yaml"], "list.yaml: not a configuration"),
    "unknown key": (["fit", "--config=key.yaml"], "no such option: --modell"),
    "unknown class argument": (
        ["fit", "--config=argument.yaml"],
        "model.client.rho: there is no such option; did you mean --model.client.rho_shared or --model.client.rho_priv",
    ),
    "option of another class": (
        [*FIT, "--model.server=FedGloSS", "--model.server.weight_decay=1"],
        "model.server.weight_decay: there is no such option of the chosen class; another one has it",
    ),
    "beginning of two options": (
        [*FIT, "--model.client.rho=1"],
        "did you mean --model.client.rho_shared or --model.client.rho_private?",
    ),
    "beginning of one option": ([*FIT, "--checkpoint.every=3"], "did you mean --checkpoint.every_n_rounds?"),
    "run without its option": (["test", "some/run"], "a run stands after --resume: fedrec test --resume some/run"),
    "run to train without its option": (["fit", *MODEL, "some/run"], "fedrec fit --resume some/run"),
    "run of several": (["predict", "some/run", "some/run"], "fedrec predict --resume some/run"),
    "nothing to measure": (["test"], "test: expected a trained model: fedrec test --resume RUNDIR"),
    "nothing to predict with": (["predict"], "predict: expected a trained model: fedrec predict --resume RUNDIR"),
    "column by its option": (
        [*FILE, "--data.layout.user=nobody"],
        "there is no column 'nobody' for --data.layout.user",
    ),
    "column by its position": ([*FILE, "--data.layout.user=7"], "there is no column 7 for --data.layout.user"),
    "settings alone": (["fit", "--config=raised/filmtrust_fedrecgel.yaml"], "model.client: not chosen yet"),
    "method before data": (["fit", "--config=method/fedncf.yaml", "--config=data/filmtrust.yaml"], "choose it first"),
    "no run": (["fit", "--resume=nosuch"], "nosuch: not a run folder"),
    "no run named": (["fit", "--resume"], "--resume: expected a run folder after it"),
    "nothing trained": (["test", *MODEL, "--data=Synthetic"], "--resume RUNDIR, or --ckpt_path FILE"),
    "no checkpoint": (
        ["test", *MODEL, "--data=Synthetic", "--ckpt_path=no.ckpt"],
        "no.ckpt: there is no such checkpoint",
    ),
    "no checkpoint at all": (["test", *MODEL, "--data=Synthetic", "--ckpt_path=list.yaml"], "damaged checkpoint"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_message_and_leaves_nothing(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.yaml").write_text("model: [1,\n")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "own.csv").write_text("user,item\n1,2\n")
    (tmp_path / "some" / "run").mkdir(parents=True)
    (tmp_path / "some" / "run" / "config.yaml").write_text("model: {}\n")
    (tmp_path / "null.yaml").write_text('model:\n  client:\n    "a\\0": 1\n')
    (tmp_path / "blank.yaml").write_text("trainer.callbacks:\n")
    (tmp_path / "arguments.yaml").write_text("data:\n  class_path: Synthetic\n  init_args:\n")
    (tmp_path / "key.yaml").write_text("modell:\n  x: 1\n")
    (tmp_path / "argument.yaml").write_text(
        "model:\n  client:\n    class_path: LocalTraining\n    init_args: {rho: 1}\n"
    )
    before = small_runs.everything(tmp_path)
    argv, expected = WRONG[case]
    assert main(argv) == 2
    found = capsys.readouterr()
    assert found.err.startswith("fedrec: error: ")
    assert found.err.count("\n") == 1, "one line"
    assert expected in found.err
    assert small_runs.everything(tmp_path) == before


def test_predictions_are_unseen_and_carry_raw_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"u{user}", f"i{(7 * user + step) % 30}", step) for user in range(12) for step in range(6)]
    frame = pd.DataFrame(rows, columns=["who", "what", "when"])
    frame.to_csv("own.csv", index=False)
    own = ["--data=InteractionFile", "--data.path=own.csv", "--data.client_fraction=1", "--data.overrides.candidates=5"]
    own += ["--data.layout.user=who", "--data.layout.item=what", "--data.layout.time=when"]
    small_runs.call(["fit", *MODEL, *own, "--trainer.max_epochs=1"])
    (folder,) = (tmp_path / "runs").iterdir()
    for name in ("best.csv", "best.parquet"):
        small_runs.call(["predict", f"--resume={folder}", "--recommend.top_k=4", f"--recommend.output={name}"])
    found = pd.read_csv("best.csv")
    assert list(found.columns) == ["user", "rank", "item", "score"]
    pd.testing.assert_frame_equal(found, pd.read_parquet("best.parquet"), check_dtype=False, rtol=1e-6)
    assert (found.groupby("user")["rank"].apply(list).map(lambda ranks: ranks == [1, 2, 3, 4])).all()
    assert (found.groupby("user")["score"].apply(lambda scores: scores.is_monotonic_decreasing)).all()
    pairs = set(found[["user", "item"]].itertuples(index=False, name=None))
    # The newest item is the test item, which may be recommended; the five before it have been seen.
    seen = {(who, what) for who, what, when in rows if when < 5}
    assert {who for who, _ in pairs} == set(frame["who"])
    assert not seen & pairs


def test_validate_prints_the_metrics_of_the_selection_items(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 2)
    best = pd.read_csv(folder / "metrics.csv").sort_values("val/ndcg_10").iloc[-1]
    capsys.readouterr()
    small_runs.call(["validate", f"--resume={folder}"])
    out = capsys.readouterr().out
    assert out.startswith(f"{folder}/checkpoints/best.ckpt: validation items of ")
    assert f"@10  HR {best['val/hr_10']:.4f} NDCG {best['val/ndcg_10']:.4f} MRR {best['val/mrr_10']:.4f}" in out


@pytest.mark.parametrize("separator", ["\t", r"\t"], ids=["tab", "backslash and t"])
def test_columns_by_position_and_a_tab_as_it_is_typed(separator: str, tmp_path: Path) -> None:
    rows = [(user, (7 * user + step) % 30, step) for user in range(12) for step in range(6)]
    (tmp_path / "own.tsv").write_text("".join(f"{user}\t{when}\t{item}\n" for user, item, when in rows))
    layout = {"user": 0, "time": 1, "item": 2, "header": "false", "separator": separator}
    own = ["--data=InteractionFile", "--data.path=own.tsv"]
    own += [f"--data.layout.{name}={value}" for name, value in layout.items()]
    own += ["--data.client_fraction=1", "--data.overrides.candidates=5", "--trainer.max_epochs=1"]
    small_runs.call(["fit", *MODEL, *own])
    (folder,) = (tmp_path / "runs").iterdir()
    found = yaml.safe_load((folder / "config.yaml").read_text())["data"]["init_args"]["layout"]
    assert {name: found[name] for name in ("user", "time", "item")} == {"user": 0, "time": 1, "item": 2}
    small_runs.call(["test", f"--resume={folder}"])


@pytest.mark.parametrize("argv", [["data", "list"], ["--help"], ["--version"]])
def test_a_closed_pipe_is_silent(argv: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "fedrec", *argv]
        found = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (found.returncode, found.stderr) == (141, "")


def test_predictions_to_a_place_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_runs.fit(tmp_path, 1)
    (tmp_path / "file").touch()
    assert main(["predict", f"--resume={folder}", f"--recommend.output={tmp_path}/file/top.csv"]) == 2
    assert capsys.readouterr().err == f"fedrec: error: {tmp_path}/file: File exists\n"


def test_a_whole_number_beyond_every_float_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "huge.yaml"
    config.write_text(f"model:\n  memory_budget_mib: {10**400}\n")
    names = ["--config=data/synthetic.yaml", "--config=method/fedncf.yaml", f"--config={config}"]
    assert main(["fit", *names, f"--trainer.default_root_dir={tmp_path}"]) == 2
    assert capsys.readouterr().err.startswith("fedrec: error: a whole number among the options is too large")
