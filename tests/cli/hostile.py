"""Run folders that somebody prepared: each tries to run, write, read or import something by its configuration.

To add one, add a line to a table: a name, and what is done to the configuration of a good run. ``OUTSIDE`` in a text is
a folder that is nobody's business; ``COMMAND`` is a shell command that leaves a file there.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

Spoil = Callable[[Path, Path], None]  # the run folder, the folder outside
COMMAND = "touch OUTSIDE/ran"
POPEN = {
    "class_path": "fedrec.sweep.trials.subprocess.Popen",
    "init_args": {"args": COMMAND, "shell": True},
}
LIGHTNING = "lightning.pytorch"
NCF = "fedrec.models.NCF"


def made(class_path: Any, /, **arguments: Any) -> dict[str, Any]:
    return {"class_path": class_path, "init_args": arguments}


def callback(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"trainer.callbacks": [made(f"{LIGHTNING}.callbacks.{name}", **arguments)]}


def logger(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"trainer.logger": made(f"{LIGHTNING}.loggers.{name}", **arguments)}


# What is put where: nested places, by the names that lead there.
VALUES: dict[str, Mapping[str, Any]] = {
    "a process where Any stands": callback("RichProgressBar", console_kwargs={"x": POPEN}),
    "a process in free arguments": callback("ModelSummary", x=POPEN),
    "a process for a number": callback("EarlyStopping", monitor="x", min_delta=POPEN),
    "a process for a text": callback("EarlyStopping", monitor=POPEN),
    "a process in a list": callback("StochasticWeightAveraging", swa_lrs=[POPEN]),
    "a process for a device": callback("StochasticWeightAveraging", swa_lrs=0.1, device=POPEN),
    "a process as callback": {"trainer.callbacks": [POPEN]},
    "a process as the one callback": {"trainer.callbacks": POPEN},
    "a process as logger": {"trainer.logger": POPEN},
    "a process as one of two loggers": {"trainer.logger": [POPEN, POPEN]},
    "a process as strategy": {"trainer.strategy": POPEN},
    "a process as accelerator": {"trainer.accelerator": POPEN},
    "a process as profiler": {"trainer.profiler": POPEN},
    "a process as plugin": {"trainer.plugins": [POPEN]},
    "a process as plain plugin": {"trainer.plugins": POPEN},
    "a process for the rounds": {"trainer.max_epochs": POPEN},
    "a process as recommender": {"model.recommender": POPEN},
    "a process as client": {"model.client": POPEN},
    "a process as server": {"model.server": POPEN},
    "a process as data": {"data": POPEN},
    "a process in a recommender": {"model.recommender.init_args.embedding_dim": POPEN},
    "a process in a client": {"model.client.init_args.lr": POPEN},
    "a process in a server": {"model.server.init_args.optimizer": POPEN},
    "a process in data": {"data.init_args.root": POPEN},
    "a process in a plan": {"data.init_args.plan.users": POPEN},
    "a process as plan": {"data.init_args.plan": POPEN},
    "a process as override": {"data.init_args.overrides": POPEN},
    "a process as budget": {"model.memory_budget_mib": POPEN},
    "a process as seed": {"seed_everything": POPEN},
    "a process as linked seed": {"model.seed": POPEN},
    "a process as data's linked seed": {"data.init_args.seed": POPEN},
    "a process as recorder": {"checkpoint": POPEN},
    "a process for a recorder's number": {"checkpoint.every_n_rounds": POPEN},
    "a process as a format": {"recommend.top_k": POPEN},
    "a layer that holds one": {"model.recommender": made("torch.nn.Linear", in_features=POPEN, out_features=1)},
    "a layer by a detour": {"model.recommender": made("fedrec.federation.torch.nn.Linear", in_features=1)},
    "a layer by Lightning's detour": callback("early_stopping.torch.nn.Linear", in_features=1),
    "a library to load": {"model.server": made("fedrec.allocator.ctypes.CDLL", name="OUTSIDE/x.so")},
    "a module": {"model.client": made("fedrec.runs.folder.os")},
    "a function of a module": {"model.client": made("fedrec.runs.folder.os.system", command=COMMAND)},
    "a function of fedrec": {"model.client": made("fedrec.files.write_text", path="OUTSIDE/x", text="x")},
    "a function of Lightning's module": callback("lr_monitor.itertools.count"),
    "the command itself": {"model.client": made("fedrec.__main__.main", argv=["demo"])},
    "the builtins": {"model.client": made("builtins.exec", object="x")},
    "a base class of the folder": {"model.recommender": made("stranger.Model")},
    "a module that acts": {"model.recommender": made("antigravity.Model")},
    "a module that prints": {"model.recommender": "this.c"},
    "pickled bytes": {"model.recommender": made("pickle.Unpickler", file="OUTSIDE/x")},
    "a file to open": {"model.recommender": made("fedrec.files.Path.open")},
    "fedrec's writer as callback": {
        "trainer.callbacks": [made("fedrec.tracking.predictions.PredictionWriter", output="OUTSIDE/x.csv")]
    },
    "fedrec's start as callback": {
        "trainer.callbacks": [
            made(
                "fedrec.tracking.start.RunStart",
                folder=made("fedrec.runs.folder.RunFolder", path="OUTSIDE/run"),
                config={"a": 1},
                audit="x",
                use_wandb=False,
            )
        ]
    },
    "fedrec's report as callback": {
        "trainer.callbacks": [made("fedrec.tracking.results.TestReport", folder="OUTSIDE", checkpoint="x")]
    },
    "fedrec's files as plugin": {"trainer.plugins": [made("fedrec.runs.checkpoints.WholeCheckpoints")]},
    "data where a model belongs": {"model.recommender": made("fedrec.data.datamodule.Synthetic")},
    "a model where data belong": {"data": made(NCF)},
    "a function for a callback": callback("LambdaCallback", on_fit_start="fedrec.files.os.getpid"),
    "a lambda for a callback": callback("LambdaCallback", on_fit_start="lambda *a: None"),
    "a class for a callback": callback("LambdaCallback", on_fit_start=POPEN),
    "a function for a mean": callback("StochasticWeightAveraging", swa_lrs=0.1, avg_fn="os.system"),
    "a function for a size": callback("ThroughputMonitor", batch_size_fn="builtins.eval"),
    "a function for pruning": callback("ModelPruning", pruning_fn="os.system"),
    "a function for a rate": callback("BackboneFinetuning", lambda_func="os.system"),
    "checkpoints elsewhere": callback("ModelCheckpoint", dirpath="OUTSIDE"),
    "checkpoints elsewhere after an error": callback("OnExceptionCheckpoint", dirpath="OUTSIDE"),
    "a list of batches elsewhere": callback("SpikeDetection", exclude_batches_path="OUTSIDE/x"),
    "a profile elsewhere": {"trainer.profiler": made(f"{LIGHTNING}.profilers.SimpleProfiler", dirpath="OUTSIDE")},
    "a profile in the working folder": {"trainer.profiler": "pytorch"},
    "a logger's name elsewhere": logger("CSVLogger", save_dir="x", name="../../outside/log"),
    "a logger's version elsewhere": logger("CSVLogger", save_dir="x", version="../.."),
    "a logger's parent": logger("CSVLogger", save_dir="x", name=".."),
    "a logger's backslash": logger("CSVLogger", save_dir="x", name="..\\x"),
    "a logger's prefix elsewhere": logger("TensorBoardLogger", save_dir="x", prefix="/x"),
    "a logger's name that is none": logger("CSVLogger", name=POPEN),
    "a logger that calls home": logger("MLFlowLogger", tracking_uri="http://127.0.0.1:9"),
    "another that does": logger("WandbLogger", project="x"),
    "a logger by a file's name": {"trainer.logger": "other.yaml"},
    "a registry": {"trainer.model_registry": "x/y"},
    "a strategy that imports": {"trainer.strategy": "deepspeed"},
    "a strategy by its path": {"trainer.strategy": "os.system"},
    "a hundred thousand processes": {"trainer.devices": 100_000, "trainer.strategy": "ddp"},
    "many processes by name": {"trainer.devices": "0,99999", "trainer.strategy": "ddp"},
    "many processes by number": {"trainer.devices": [0, 99_999]},
    "a file for the trainer": {"trainer": "other.yaml"},
    "a file for the model": {"model": "other.yaml"},
    "a file for the client": {"model.client": "other.yaml"},
    "a file for the recommender": {"model.recommender": "OUTSIDE/other.yaml"},
    "a file for the data": {"data": "other.yaml"},
    "a file for the plan": {"data.init_args.plan": "other.yaml"},
    "a file for the overrides": {"data.init_args.overrides": "other.yaml"},
    "a file for the arguments": {"model.client.init_args": "other.yaml"},
    "a file for the recorder": {"checkpoint": "other.yaml"},
    "a file for the callbacks": {"trainer.callbacks": "other.yaml"},
    "a file for one callback": {"trainer.callbacks": ["other.yaml"]},
    "YAML in a text": {"trainer.callbacks": f"[{{class_path: {POPEN['class_path']}}}]"},
    "another configuration": {"config": "other.yaml"},
    "a base": {"__base_config__": "other.yaml"},
    "a default": {"__default_config__": "other.yaml"},
    "a path": {"trainer.__path__": "other.yaml"},
    "an origin": {"model.client.__orig__": "other.yaml"},
    "a schema": {"$schema": "http://127.0.0.1:9/x.json"},
    "a subcommand": {"fit": {"trainer": {"callbacks": [POPEN]}}},
    "a checkpoint of its own": {"ckpt_path": "OUTSIDE/x.ckpt"},
    "a run of its own": {"resume": "OUTSIDE"},
    "its own trust": {"trust": POPEN["class_path"], "model.client": POPEN},
    "a variable": {"model.client.class_path": "${oc.env:HOME}"},
    "free arguments": {"model.recommender.dict_kwargs": {"x": POPEN}},
    "a callback's free arguments": {
        "trainer.callbacks": [{**made(f"{LIGHTNING}.callbacks.Timer"), "dict_kwargs": {"x": POPEN}}]
    },
    "an unknown argument": {"model.client.init_args.hook": POPEN},
    "an unknown option": {"trainer.hook": "os.system"},
    "a list for a class": {"model.client.class_path": ["os.system"]},
    "a number for a class": {"model.client.class_path": 1},
    "no class": {"model.client.class_path": None},
    "an empty class": {"model.client.class_path": ""},
    "dots for a class": {"model.client.class_path": "..."},
    "a file's path for a class": {"model.client.class_path": "../../stranger.Model"},
    "a full-width letter": {"model.recommender.class_path": "fedrec.models.NC\N{FULLWIDTH LATIN CAPITAL LETTER F}"},
    "a full-width dot": {"model.recommender.class_path": "fedrec\N{FULLWIDTH FULL STOP}models.NCF"},
    "a full-width name": {"model.client": {"\N{FULLWIDTH LATIN SMALL LETTER C}lass_path": POPEN["class_path"]}},
    "a ligature": {"\N{LATIN SMALL LIGATURE FI}t": {"trainer": {"callbacks": [POPEN]}}},
    "a terminal's command": {"data.init_args.root": "\x1b]0;x\x07"},
    "a text that ends early": {"data.init_args.root": "x\0y"},
    "a line of another option": {"data.init_args.root": f"x\ntrainer:\n  callbacks: [{POPEN['class_path']}]"},
    "a long text": {"data.init_args.root": "x" * 5000},
    "a number above all": {"seed_everything": 2**64},
    "a number below all": {"data.init_args.split_seed": -(2**70)},
    "a number for a name": {"trainer.2": 1},
}

HEAD = "seed_everything: 0\n"
# What stands in place of the configuration, or (after +) below it.
TEXTS: dict[str, str | bytes] = {
    "a tag that calls": f"+model: !!python/object/apply:os.system ['{COMMAND}']\n",
    "a tag that makes": f"+model: !!python/object/new:subprocess.Popen [['{COMMAND}']]\n",
    "a tag that names": "+model: !!python/name:os.system ''\n",
    "a tag that imports": "+model: !!python/module:antigravity ''\n",
    "a tag that does not fit": "+model: !!int ''\n",
    "another that does not fit": "+model: !!bool maybe\n",
    "a third that does not fit": "+model: !!timestamp soon\n",
    "a tag of its own": "+model: !x {class_path: os.system}\n",
    "bytes": "+data: !!binary aGk=\n",
    "a set": "+data: !!set {a, b}\n",
    "a date": "+data: 2020-01-01\n",
    "no date": "+data: 2020-13-45\n",
    "dotted names": f"+trainer.callbacks: [{{class_path: {POPEN['class_path']}}}]\n",
    "a dotted class": "+model.client.class_path: os.system\n",
    "a name with plus": f"+trainer: {{callbacks+: {{class_path: {POPEN['class_path']}}}}}\n",
    "dotted names with plus": f"+trainer.callbacks+: [{{class_path: {POPEN['class_path']}}}]\n",
    "a merged class": "+model: {client: {<<: {class_path: os.system}}}\n",
    "the last of two": "+model: {client: {class_path: os.system}}\n",
    "two documents": "+---\nmodel: {client: {class_path: os.system}}\n",
    "a list for a name": "+? [a, b]\n: 1\n",
    "a truth for a name": "+on: 1\n",
    "many aliases": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "an alias to itself": "a: &a {b: *a}\n",
    "depth": "a: " + "[" * 5000 + "]" * 5000,
    "depth by lines": "".join(f"{' ' * level}a:\n" for level in range(900)),
    "size": HEAD + "#" * 2**21,
    "many values": HEAD + "a: [" + "1," * 20_000 + "]\n",
    "a number of many digits": "seed_everything: " + "9" * 5000 + "\n",
    "a number in base 60": "seed_everything: " + ":".join(["9"] * 5000) + "\n",
    "nothing": "",
    "a list": "- 1\n",
    "a text": "os.system\n",
    "UTF-16": HEAD.encode("utf-16"),
    "no text": b"\xff\xfe\x00\x01",
    "half a letter": b"model: \xc3\n",
}


def _link(name: str, target: str) -> Spoil:
    """Put a link to something outside in the place of a file or folder of the run."""

    def spoil(run: Path, outside: Path) -> None:
        path = run / name
        if path.is_dir():
            path.rename(outside / "moved")
            path.symlink_to(outside / "moved")
        else:
            path.unlink(missing_ok=True)
            path.symlink_to(outside / target)

    return spoil


def _pipe(name: str) -> Spoil:
    def spoil(run: Path, outside: Path) -> None:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)

    return spoil


FOLDERS: dict[str, Spoil] = {
    "a linked configuration": _link("config.yaml", "good.yaml"),
    "a linked table": _link("metrics.csv", "victim"),
    "linked timings": _link("timings.csv", "victim"),
    "a link to nothing": _link("audit.txt", "new"),
    "linked results": _link("test.json", "victim"),
    "a linked checkpoint": _link("checkpoints/last.ckpt", "victim"),
    "a linked half-written file": _link("checkpoints/.last.ckpt.tmp", "victim"),
    "linked checkpoints": _link("checkpoints", ""),
    "a linked folder of logs": _link("logs", "."),
    "a pipe for a table": _pipe("metrics.csv"),
    "a pipe for a configuration": _pipe("config.yaml"),
}


def _with_values(values: Mapping[str, Any]) -> Spoil:
    def spoil(run: Path, outside: Path) -> None:
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        for place, value in values.items():
            node, *names = config, *place.split(".")
            for name in names[:-1]:
                node = node.setdefault(name, {}) if isinstance(node.get(name, {}), dict) else node
            node[names[-1]] = copy.deepcopy(value)
        text = yaml.safe_dump(config, sort_keys=False).replace("OUTSIDE", str(outside))
        (run / "config.yaml").write_text(text, encoding="utf-8")

    return spoil


def _with_text(text: str | bytes) -> Spoil:
    def spoil(run: Path, outside: Path) -> None:
        content = text if isinstance(text, bytes) else text.replace("OUTSIDE", str(outside)).encode()
        before = (run / "config.yaml").read_bytes() if content.startswith(b"+") else b""
        (run / "config.yaml").write_bytes(before + content.removeprefix(b"+"))

    return spoil


CASES: dict[str, Spoil] = {
    **{name: _with_values(values) for name, values in VALUES.items()},
    **{name: _with_text(text) for name, text in TEXTS.items()},
    **FOLDERS,
}

# What a folder may say without any effect: places to write to that are the command line's.
HARMLESS: dict[str, Spoil] = {
    name: _with_values(values)
    for name, values in {
        "a root": {"trainer.default_root_dir": "OUTSIDE/root"},
        "predictions": {"recommend.output": "OUTSIDE/top.csv"},
        "a log": logger("CSVLogger", save_dir="OUTSIDE/log"),
        "two logs": {"trainer.logger": [made(f"{LIGHTNING}.loggers.CSVLogger", save_dir="OUTSIDE/log")] * 2},
        "a part of a log": logger("CSVLogger", save_dir=POPEN, sub_dir="OUTSIDE", log_dir="OUTSIDE", x=POPEN),
        "machines": {"trainer.num_nodes": 1000},
        "a shell's command": {"data.init_args.root": f"$({COMMAND})"},
        "a variable": {"data.init_args.root": "${oc.env:HOME}/OUTSIDE"},
        "a file to read": {"data.init_args.root": "OUTSIDE/other.yaml"},
    }.items()
}
