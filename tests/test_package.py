"""What ``pip install`` brings: a wheel, installed into an empty folder, holds and finds everything that is shipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import fedrec

ROOT = Path(__file__).parents[1]
PARTS = ("fedrec", "claims", "sweeps", "notebooks", "pyproject.toml", "README.md", "LICENSE")
# Run by the installed package alone: where it stands, its configurations, a sweep by name, the notebooks.
PROGRAM = """
import json, sys
import fedrec
from fedrec.__main__ import main
from fedrec.cli.arguments import configuration_path, shipped_configurations
from fedrec.report.committed import committed
print(json.dumps({
    "file": fedrec.__file__,
    "configurations": {name: str(configuration_path(name)) for name in shipped_configurations()},
    "sweeps": {name: main(["sweep", name, "--resume", "--out", "none"]) for name in sys.argv[1:]},
    "notebooks": main(["notebooks", "mine"]),
    "results": len(committed("methods_filmtrust")),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built of a copy, so that nothing is left beside the source."""
    source = tmp_path_factory.mktemp("source")
    for name in PARTS:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("dist")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source))
    (path,) = out.glob("*.whl")
    return path


def pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def shipped(folder: str, kind: str) -> set[str]:
    return {path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob(kind)}


@pytest.mark.slow
def test_wheel_holds_what_is_shipped_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    code = {f"fedrec/{name}" for name in shipped("fedrec", "*.py") | shipped("fedrec", "py.typed")}
    assert names == (
        code
        | {f"fedrec/configs/{name}" for name in shipped("fedrec/configs", "*.yaml")}
        | {f"fedrec/shipped/claims/{name}" for name in shipped("claims", "*.yaml")}
        | {f"fedrec/shipped/sweeps/{name}" for name in shipped("sweeps", "*.yaml")}
        | {f"fedrec/shipped/notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
        | {f"fedrec/shipped/notebooks/results/{name}" for name in shipped("notebooks/results", "*.csv")}
    )


@pytest.mark.slow
def test_installed_package_finds_configurations_sweeps_and_notebooks(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    pip("install", "--no-deps", "--target", str(target), str(wheel))
    sweeps = [path.stem for path in (ROOT / "sweeps").glob("*.yaml")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *sweeps],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["file"]).is_relative_to(target)
    assert found["results"] > 1
    assert set(found["configurations"]) == shipped("fedrec/configs", "*.yaml")
    assert all(Path(path).is_relative_to(target) for path in found["configurations"].values())
    # Each was found and read; what is missing is a sweep to go on with.
    assert done.stderr.count("--resume: none holds no sweep") == len(sweeps)
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {
        p.name for p in (ROOT / "notebooks").glob("*.ipynb")
    }


def test_metadata_agree() -> None:
    """The version is one number, and no dependency is named that is not constrained."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == fedrec.__version__
    assert citation["license"] == project["license"]
    constrained = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    needed = [*project["dependencies"], *(need for each in project["optional-dependencies"].values() for need in each)]
    names = {need.partition("[")[0].split(">")[0].split("=")[0].split("<")[0].lower() for need in needed}
    assert names - {"fedrec"} <= constrained  # one extra may ask for another
