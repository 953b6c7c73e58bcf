"""``fedrec notebooks``."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedrec.__main__ import main
from fedrec.commands.notebooks import copy_notebooks
from fedrec.errors import InputError

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_notebooks_are_copied_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "mine"
    assert main(["notebooks", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / path.name) for path in NOTEBOOKS]
    for path in NOTEBOOKS:
        assert (folder / path.name).read_bytes() == path.read_bytes()
    copy_notebooks(str(folder))  # the same again changes nothing


def test_changed_notebook_is_kept_and_nothing_written(tmp_path: Path) -> None:
    changed = tmp_path / NOTEBOOKS[-1].name
    changed.write_text("mine")
    with pytest.raises(InputError, match=rf"{changed.name}: there is another notebook of this name"):
        copy_notebooks(str(tmp_path))
    assert [*tmp_path.iterdir()] == [changed]
    assert changed.read_text() == "mine"


@pytest.mark.parametrize("name", ["", " ", "file"])
def test_what_is_no_folder_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(InputError, match="expected a folder"):
        copy_notebooks(name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
