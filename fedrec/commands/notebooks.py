"""``fedrec notebooks DIR``: copies of the shipped notebooks, to run and to change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import fedrec
from fedrec.commands.parser import Parser
from fedrec.errors import InputError
from fedrec.files import write_text

SHIPPED = Path(fedrec.__file__).parent / "shipped" / "notebooks"


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: Arguments after ``notebooks``.

    Returns:
        The exit status, 0.

    Raises:
        InputError: If the folder cannot be used, or holds a changed notebook of one of the names; nothing is written.
    """
    parser = Parser(
        allow_abbrev=False,
        prog="fedrec notebooks",
        description="Copy the shipped notebooks into a folder. Most show results that are shipped, the others make "
        "small runs of their own; set SOURCE at the top of one to a folder of yours. To execute them needs Jupyter: "
        "pip install jupyterlab.",
    )
    parser.add_argument("folder", metavar="DIR", help="folder to copy into; made if need be")
    copy_notebooks(parser.parse_args(argv).folder)
    return 0


def copy_notebooks(name: str) -> None:
    """Copy all notebooks and print where they are."""
    folder = Path(name)
    if not name.strip() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{name or 'DIR is blank'}: expected a folder")
    texts = {folder / path.name: path.read_text(encoding="utf-8") for path in sorted(SHIPPED.glob("*.ipynb"))}
    for path, text in texts.items():
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
            raise InputError(f"{path}: there is another notebook of this name; move it away or give another folder")
    for path, text in texts.items():
        write_text(path, text)
        print(path)
