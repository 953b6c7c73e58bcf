"""The figures in the prose of README and ``docs``, and where each stands among the committed results.

A figure is a number with a decimal point, or one that a unit of measure follows, with what stands behind its ±; years,
versions, counts without a unit, code and tables are none. It stands in the results if it is what one of their numbers
rounds to, which has the digits for it; points and percent may be shares times 100, megabytes kilobytes over 1,000. The
numbers are those of all tables and commands of its chapter, of the rows of ``printed_figures.csv`` for its paragraph,
and of the pages of claims, with the settings in their files, and the sections of other pages and of its own that its
paragraph or the one before it links. So what is found is a figure that is nowhere there, and no
figure in a wrong place: of those that are off by a few last digits one in two is found, to which a test holds this.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.results import PLACE, RESULTS

# Units, and by what numbers of the results are multiplied to be in them.
UNITS: dict[str, tuple[float, ...]] = {"%": (1, 100), "points": (100,), "MB": (1, 0.001), "GB": (1, 0.001)}
UNITS |= dict.fromkeys(
    ("ms", "us", "ns", "s", "GiB", "MiB", "kB", "GFLOP/s", "MFLOP", "GB/s", "times", "million"), (1,)
)
_SHIFT = {1: 0, 100: 2, 0.001: -3}  # by how many digits a scale moves the point
# What is no measurement: widths of intervals, levels of tests, draws, versions.
CHOSEN = re.compile(r"\b(95|5) %|\b9,999 times|\bfiles from 64 MiB|\b0\.5 chance|\btorch \d\S*|Python \d\S*|\b2\.6 GHz")
_UNIT = "|".join(map(re.escape, UNITS))
_WHOLE = r"\d+(?:,\d{3})*"
_VALUE = rf"{_WHOLE}(?:\.\d+)?|\.\d+"
_FIGURE = re.compile(  # the unit of "3 to 4 ms" is that of both
    rf"(?<![\w.:/-])-?({_WHOLE}\.\d+|\.\d+|{_WHOLE}(?= (?:(?:to|and) [\d.]+ )?(?:{_UNIT})(?!\w)))"
    rf"(?: ± ({_VALUE}))?(?:(?=(?: (?:to|and) (?:{_VALUE}))? ({_UNIT})(?!\w)))?"
)
_NUMBER = re.compile(rf"(?<![\w.-])-?({_VALUE})(?: ± ({_VALUE}))?(?![\w-])")
_CODE = re.compile(r"^```.*?^```$|^\|.*?$|`[^`]*`", re.DOTALL | re.MULTILINE)
_COMMANDS = re.compile(r"^```$.*?^```$", re.DOTALL | re.MULTILINE)
_LINKED = re.compile(r"\]\(([\w./-]+\.md)?(?:#([\w-]+))?\)")


class Figure(NamedTuple):
    """A number as README writes it, what stands behind its ±, its unit, the text around it, and what it rests on."""

    text: str
    half: str
    unit: str
    paragraph: str
    sources: tuple[str, ...]

    @property
    def stands(self) -> bool:
        """Whether a number of the sources rounds to it."""
        return any(
            _rounds(number, self.text, scale) and (not self.half or _rounds(half, self.half, scale))
            for source in self.sources
            for number, half in numbers(source)
            for scale in UNITS.get(self.unit, (1,))
        )


def _rounds(number: str, text: str, scale: float) -> bool:
    """Whether a number, times the scale, has the digits of what is written and rounds to it."""
    digits = len(text.partition(".")[2])
    if not number or len(number.partition(".")[2]) - _SHIFT[scale] < digits:
        return False
    found, value = (float(one.replace(",", "")) for one in (number, text))
    return abs(found * scale - value) <= 0.5000001 * 10**-digits


@cache
def numbers(source: str) -> frozenset[tuple[str, str]]:
    """All numbers of a text without their signs, each with what stands behind its ±."""
    return frozenset(_NUMBER.findall(source))


def figures(text: str, folder: Path, heads: tuple[str, ...] | None = None) -> Iterator[Figure]:
    """The figures of a page.

    Args:
        text: The page.
        folder: Where it stands, from which its links lead.
        heads: Headlines of the chapters to read, None: all; the text before the first one, which rests on the tables of
            the whole page, has none.

    Raises:
        ValueError: If there is no such chapter.
    """
    chapters = dict(re.findall(r"(?:^## (.*)\n|\A)((?:.|\n)*?)(?=^## |\Z)", text, re.MULTILINE))
    heads = tuple(chapters) if heads is None else heads
    if missing := set(heads) - chapters.keys():
        raise ValueError(f"no chapters {sorted(missing)}")
    for head in heads:
        chapter = chapters[head]
        tables = _tables(chapter if head else text)
        shown, before = " ".join([tables, *_COMMANDS.findall(chapter)]), ""
        for paragraph in re.split(r"\n\s*\n", PLACE.sub("", chapter)):
            links = _LINKED.findall(before + paragraph)
            linked = [_linked(folder / page, anchor) if page else _section(text, anchor) for page, anchor in links]
            words = " ".join(CHOSEN.sub("", _CODE.sub("", re.sub(r"\]\([^)]*\)", "]", paragraph))).split())
            sources = shown, _listed(" ".join(paragraph.split())), *linked
            yield from (Figure(*found, words[:60], sources) for found in _FIGURE.findall(words))
            before = paragraph


def _tables(text: str) -> str:
    return " ".join(found[3] for found in PLACE.findall(text))


def _listed(paragraph: str) -> str:
    """The values of ``printed_figures.csv`` for a paragraph, of which its rows have the first words."""
    with (RESULTS / "printed_figures.csv").open(encoding="utf-8") as file:
        return "; ".join(row["value"] for row in csv.DictReader(file) if row["paragraph"] in paragraph)


@cache
def _linked(path: Path, anchor: str) -> str:
    """A page of claims and the file of claims; or the tables of a section of another page, or of all of it."""
    page = path.read_text(encoding="utf-8")
    if path.name.startswith("claims_"):
        claims = RESULTS.parents[1] / "claims" / f"{path.stem.removeprefix('claims_')}.yaml"
        return page + claims.read_text(encoding="utf-8")
    return _section(page, anchor) if anchor else _tables(page)


def _section(page: str, anchor: str) -> str:
    """The tables below a headline, up to the next of its rank."""
    head = next(h for h in re.findall(r"^##+ .*$", page, re.MULTILINE) if _anchor(h) == anchor)
    below = page.partition(f"{head}\n")[2]
    return _tables(re.split(rf"^##{{1,{len(head.split()[0]) - 1}}} ", below, flags=re.MULTILINE)[0])


def _anchor(head: str) -> str:
    return re.sub(r"[^\w-]", "", head.lstrip("# ").lower().replace(" ", "-"))
