"""The cases: what is written into an empty folder, and the command lines that are then run in it."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import yaml

from tests.fuzz.mutations import VALUES, as_word, misspelt, spoil_bytes, spoil_cells, spoil_tree, spoil_words
from tests.fuzz.samples import CONFIGURATION, SHIPPED_SWEEPS, SMALL, lines, table
from tests.small_runs import DATA

Line = list[str]
Make = Callable[[Random, Path, Path], list[Line]]
LAST = ["--trainer.max_epochs=1", "--trainer.logger=false"]  # after everything else, and so what holds


def files(draw: Random, folder: Path, samples: Path) -> list[Line]:
    """A file of interactions, for ``data audit`` and sometimes for ``fit``."""
    separator = draw.choice((",", "\t", ";", "::", "|"))
    text = lines(draw, separator)
    if draw.random() < 0.6:
        text = spoil_cells(draw, text, separator)
    content = text.encode("utf-8", "surrogateescape")
    content = draw.choice((lambda: content, lambda: content, lambda: _packed(draw, content), lambda: _columns(draw)))()
    if draw.random() < 0.4:
        content = spoil_bytes(draw, content)
    name = draw.choice(("rows.csv", "rows.dat", "rows.parquet", "rows.csv.gz", "rows", "ro ws$\\bad{$.csv"))
    (folder / name).write_bytes(content)
    options = [
        f"{name}={as_word(value if draw.random() < 0.5 else draw.choice(VALUES))}"
        for name, value in _some(draw, LAYOUT)
    ]
    if draw.random() < 0.15:
        own = ["fit", "--config=data/file.yaml", "--config=method/fedncf.yaml", f"--data.path={name}"]
        layout = [option.replace("--", "--data.layout.", 1) for option in options]
        return [[*own, *layout, "--data.overrides.candidates=3", "--data.client_fraction=1.0", *LAST]]
    return [["data", "audit", name, "--candidates=3", *options]]


LAYOUT: dict[str, Any] = {
    **{"--user": "user", "--item": "item", "--time": "time", "--rating": "stars", "--minimum_rating": 3},
    **{"--low_ratings": "touched", "--separator": ",", "--skip_lines": 1, "--ids": "text", "--time_format": "s"},
    **{"--missing_ids": "drop", "--encoding": "latin-1", "--member": "rows.csv"},
}


def _some(draw: Random, options: dict[str, Any]) -> list[tuple[str, Any]]:
    return draw.sample(sorted(options.items()), draw.choice((0, 0, 0, 1, 2)))


def _packed(draw: Random, content: bytes) -> bytes:
    if draw.random() < 0.5:
        return gzip.compress(content, mtime=0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in draw.choice((["rows.csv"], ["rows.csv", "__MACOSX/rows.csv"], ["a", "b"], ["../rows.csv"])):
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def _columns(draw: Random) -> bytes:
    """A table in a file with types."""
    columns: dict[str, list[Any]] = table(draw)
    for _ in range(draw.choice((0, 1, 1, 3))):
        name = draw.choice(sorted(columns))
        value = draw.choice(VALUES)
        rows = range(len(columns[name])) if draw.random() < 0.2 else [draw.randrange(len(columns[name]))]
        for row in rows:
            columns[name][row] = value
    arrays = {name: _array(draw, values) for name, values in columns.items()}
    buffer = io.BytesIO()
    if draw.random() < 0.7:
        pq.write_table(pa.table(arrays), buffer)
    else:
        feather.write_feather(pa.table(arrays), buffer, compression="uncompressed")
    return buffer.getvalue()


def _array(draw: Random, values: list[Any]) -> pa.Array:
    kinds = (None, None, pa.float32(), pa.float64(), pa.int8(), pa.timestamp("ns"), pa.string(), pa.date32())
    kind = draw.choice(kinds)
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return pa.array([as_word(value).encode("utf-8", "replace").decode() for value in values])


def configurations(draw: Random, folder: Path, samples: Path) -> list[Line]:
    """A YAML configuration for ``fit``."""
    whole = yaml.safe_load(CONFIGURATION)
    text = as_yaml(draw, spoil_tree(draw, whole))
    content = text.encode("utf-8", "surrogateescape")
    if draw.random() < 0.25:
        content = spoil_bytes(draw, CONFIGURATION.encode())
    (folder / "own.yaml").write_bytes(content)
    end = ["--print_config"] if draw.random() < 0.3 else LAST
    return [["fit", "--config=own.yaml", *end]]


def as_yaml(draw: Random, tree: Any) -> str:
    """YAML as a person might have written it: blank values stay blank."""
    text = yaml.dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=draw.random() < 0.1)
    return text.replace(": null\n", ":\n") if draw.random() < 0.5 else text


def sweep_files(draw: Random, folder: Path, samples: Path) -> list[Line]:
    """A sweep file; the runner lets no trial start."""
    text = draw.choice(SHIPPED_SWEEPS)
    if draw.random() < 0.75:
        text = as_yaml(draw, spoil_tree(draw, yaml.safe_load(text)))
        content = text.encode("utf-8", "surrogateescape")
    else:
        content = spoil_bytes(draw, text.encode())
    (folder / "sweep.yaml").write_bytes(content)
    return [["sweep", "sweep.yaml", "--out=out"]]


def command_lines(draw: Random, folder: Path, samples: Path) -> list[Line]:
    """A command line of any command; its files are good ones."""
    shutil.copytree(samples / "runs", folder / "runs")
    shutil.copytree(samples / "sweep", folder / "sweep")
    shutil.copy(samples / "rows.csv", folder)
    shutil.copy(samples / "sweep.yaml", folder)
    good = draw.choice(LINES)
    command, words = good[0], list(good[1:])
    if command == "fit" and "--resume=runs/sample" not in words:
        for _ in range(draw.choice((1, 1, 2))):
            name, value = draw.choice(sorted(SMALL.items(), key=lambda setting: setting[0]))
            name = misspelt(draw, name) if draw.random() < 0.15 else name
            other = draw.choice(list(SMALL.values())) if draw.random() < 0.3 else draw.choice((value, *VALUES))
            words.append(f"--{name}={as_word(other)}")
    if command != "fit" or draw.random() < 0.4:
        words = spoil_words(draw, words) if words else [as_word(draw.choice(VALUES))]
    if command in ("fit", "test", "validate", "predict"):
        words += ["--print_config"] if command == "fit" and draw.random() < 0.4 else LAST
    return [[misspelt(draw, command) if draw.random() < 0.03 else command, *words]]


OWN_FIT = ["fit", "--config=data/file.yaml", "--config=method/pfedrec.yaml", "--data.path=rows.csv"]
LINES: tuple[Line, ...] = (
    ["fit", *DATA],
    ["fit", *DATA],
    ["fit", *DATA],
    [*OWN_FIT, "--data.overrides.candidates=3", "--data.client_fraction=1.0", "--data.layout.user=user"],
    ["fit", "--resume=runs/sample", "--model.client.lr=0.02"],
    ["test", "--resume=runs/sample"],
    ["test", "--resume", "runs/sample", "--ckpt_path=runs/sample/checkpoints/last.ckpt"],
    ["validate", "--resume=runs/sample", "--data.root=."],
    ["predict", "--resume=runs/sample", "--recommend.output=best.csv", "--recommend.top_k=3"],
    ["data", "list", "--root=."],
    ["data", "fetch", "ml-100k", "--root=."],
    ["data", "audit", "rows.csv", "--user=user", "--protocol=fair", "--candidates=3", "--split_seed=1", "--json"],
    ["data", "audit", "rows.csv", "--time=time", "--duplicates=keep", "--ties=hash", "--min_user_rows=3"],
    ["sweep", "sweep.yaml", "--out=new", "--parallel=2"],
    ["sweep", "sweep.yaml", "--out=sweep", "--resume"],
    ["report", "runs", "--out=page.html"],
    ["notebooks", "books"],
)


def run_folders(draw: Random, folder: Path, samples: Path) -> list[Line]:
    """A run's folder, or a sweep's, damaged in one to three files."""
    if draw.random() < 0.2:
        shutil.copytree(samples / "sweep", folder / "sweep")
        shutil.copy(samples / "sweep.yaml", folder)
        _damage(draw, folder / "sweep")
        return [["sweep", "sweep.yaml", "--out=sweep", "--resume"]]
    shutil.copytree(samples / "runs", folder / "runs")
    _damage(draw, folder / "runs")
    command = draw.choice(("fit", "test", "validate", "predict", "report", "report"))
    if command == "report":
        return [["report", "runs"]]
    return [[command, "--resume=runs/sample", "--trainer.max_epochs=2", "--trainer.logger=false"]]


def _damage(draw: Random, folder: Path) -> None:
    for _ in range(draw.choice((1, 1, 2, 3))):
        there = sorted(path for path in folder.rglob("*") if path.is_file())
        if not there:
            return
        path, other = draw.choice(there), draw.choice(there)
        way = draw.randrange(10)
        if way == 0:
            path.unlink()
        elif way == 1:
            path.write_bytes(other.read_bytes())
        elif way == 2:
            path.unlink()
            path.mkdir()
        elif way == 3:
            path.write_bytes(b"")
        elif way < 6 or path.suffix in (".ckpt", ".parquet"):
            path.write_bytes(spoil_bytes(draw, path.read_bytes()))
        else:
            _damage_values(draw, path)


def _damage_values(draw: Random, path: Path) -> None:
    """Change what a file of text says, and leave its form."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    try:
        if path.suffix == ".yaml":
            text = as_yaml(draw, spoil_tree(draw, yaml.safe_load(text)))
        elif path.suffix == ".json":
            text = json.dumps(spoil_tree(draw, json.loads(text)), default=str)
        elif path.suffix == ".jsonl":
            rows = [spoil_tree(draw, json.loads(line)) for line in text.splitlines()]
            text = "".join(json.dumps(row, default=str) + "\n" for row in rows)
        elif text.strip():
            text = spoil_cells(draw, text, ",")
    except (ValueError, yaml.YAMLError):
        pass  # damaged before, and damage enough
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


# By kind, how to make a case, and how many of 20 are of it: the dearer, the fewer.
KINDS: dict[str, tuple[Make, int]] = {
    "files": (files, 6),
    "configurations": (configurations, 4),
    "sweep files": (sweep_files, 3),
    "command lines": (command_lines, 4),
    "run folders": (run_folders, 3),
}
ORDER = [kind for kind, (_, share) in KINDS.items() for _ in range(share)]


def kind_of(number: int) -> str:
    """The kind of a case."""
    return ORDER[number * 7 % len(ORDER)]  # 7 and 20 have no common divisor: the kinds are mixed


def make_case(seed: int, number: int, folder: Path, samples: Path) -> list[Line]:
    """Write a case's files and return its command lines; all follow from the seed and the number."""
    make, _ = KINDS[kind_of(number)]
    return make(Random(f"{seed}:{number}"), folder, samples)
