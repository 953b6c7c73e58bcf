"""Bad input: one clear message each, an exit status that is not 0, and nothing left behind.

To add a case, add a line to one of the tables or a table to ``CASES``: a name, what to run in an empty folder, and what
the message must have in it. What is run raises :class:`InputError`, or is a command that ends with status 2.
"""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fedrec.__main__ import main
from fedrec.data.catalogue.download import fetch
from fedrec.data.catalogue.sources import DATA_SETS, Archive, DataFile, DataSet
from fedrec.data.catalogue.storage import read_data_set
from fedrec.data.datamodule import FilmTrust, InteractionFile, LastFM2K, Synthetic
from fedrec.data.interactions import Counts
from fedrec.data.participants import Availability
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.reading.layout import Layout
from fedrec.data.reading.readers import read_interactions
from fedrec.data.synthetic import Plan
from fedrec.errors import InputError

Run = Callable[[Path], object]
Case = tuple[Run, str]

TIMED: dict[str, Any] = {"time": "time"}
RATED: dict[str, Any] = {"rating": "stars", "minimum_rating": 3}


def reading(content: str | bytes, **layout: Any) -> Run:
    """Read a file of this content."""

    def run(folder: Path) -> object:
        (folder / "rows.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_interactions(folder / "rows.csv", Layout(**layout), "rows")

    return run


def reading_table(time_format: str = "auto", **columns: Any) -> Run:
    """Read a Parquet file of these columns."""
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return reading(buffer.getvalue(), time_format=time_format)


def layout(**options: Any) -> Run:
    """Describe a file."""
    return lambda folder: Layout(**options)


def data(make: Callable[..., Any], **options: Any) -> Run:
    """Make a data module and set it up, with the empty folder as its root."""

    def run(folder: Path) -> object:
        made = make(root=str(folder), **options)
        made.setup("fit")
        return made

    return run


def own_file(rows: str, **options: Any) -> Run:
    """Make a data module of a file with these rows and set it up."""

    def run(folder: Path) -> object:
        (folder / "own.csv").write_text("user,item\n" + rows)
        made = InteractionFile(path=str(folder / "own.csv"), **options)
        made.setup("fit")
        return made

    return run


def command(*words: str) -> Run:
    """Run ``fedrec`` with these words; FOLDER in them is the empty folder."""
    return lambda folder: main([word.replace("FOLDER", str(folder)) for word in words])


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "user,item\n1,2\n")
    return buffer.getvalue()


def published(content: bytes, sha256: str | None) -> Run:
    """Read a published data set, 2 users, 2 items and 3 rows, of this content."""

    def run(folder: Path) -> object:
        (folder / "set").mkdir()
        (folder / "set" / "rows.csv").write_bytes(content)
        file = DataFile("rows.csv", Layout(), Counts(2, 2, 3), sha256)
        return read_data_set(DataSet("set", "", "", "", "", {"rows": (file,)}), "rows", str(folder))

    return run


def fetching_without_network(folder: Path) -> object:
    # Nothing listens on port 9 (discard) of a machine of today.
    origin = Archive("http://127.0.0.1:9/set.zip", "0" * 64, "rows.csv")
    file = DataFile("rows.csv", Layout(), Counts(2, 2, 3), origin=origin)
    return fetch(DataSet("set", "", "", "", "", {"rows": (file,)}), str(folder), lambda text: None)


def reading_a_folder(folder: Path) -> object:
    return read_interactions(folder, Layout(), "rows")


def reading_nothing(folder: Path) -> object:
    return read_interactions(folder / "rows.csv", Layout(), "rows")


HEAD = "user,item,time\n"
STARS = "user,item,stars\n"


def many(first: str, *others: str) -> str:
    """A line of names, 30 rows of numbers, and other lines after them."""
    return first + "".join(f"{user},{user % 7}\n" for user in range(30)) + "".join(others)


FILES: dict[str, Case] = {
    "no such file": (reading_nothing, "rows.csv: no such file."),
    "a folder": (reading_a_folder, ": is a folder; expected a file."),
    "a device": (
        lambda folder: read_interactions(Path("/dev/null"), Layout(), "x"),
        "null: is a device; expected",
    ),
    "empty": (reading(""), "rows.csv: is empty; expected rows."),
    "blank": (reading("\n\n\n"), "rows.csv: holds no rows."),
    "header alone": (reading("user,item\n"), "rows.csv: holds no rows below its line of names."),
    "all lines skipped": (reading("user,item\n1,2\n", skip_lines=9), "rows.csv: holds no rows."),
    "unusual names": (
        reading("who,item\n1,2\n"),
        "line 1: no column has a usual name of user ids (user, userid, uid, reviewerid, ...); set layout.user;",
    ),
    "missing column": (
        reading("who,item\n1,2\n", user="user"),
        "line 1: there is no column 'user' for layout.user; with the separator ',' the line names 'who', 'item'.",
    ),
    "missing column, header late": (
        reading("#\nwho,item\n1,2\n", skip_lines=1, user="user"),
        "line 2: there is no column 'user'",
    ),
    "missing position": (
        reading("1,2\n", user=0, item=4, header=False),
        "line 1: there is no column 4 for layout.item, counted from 0; with the separator ',' the line has 2 fields:",
    ),
    "column there twice": (reading("user,user,item\n1,2,3\n"), "line 1: 'user' and 'user' could all be layout.user"),
    "named column there twice": (
        reading("user,user,item\n1,2,3\n", user="user"),
        "line 1: there are several columns 'user' for layout.user",
    ),
    "one column for two": (
        reading("user,item\n1,2\n", user=0, item="user"),
        "line 1: layout.user and layout.item are the same column",
    ),
    "another separator": (
        reading("user;item\n1;2\n", separator=",", user="user"),
        "with the separator ',' the line names 'user;it",
    ),
    "too few fields": (
        reading("user,item\n1,2\n3\n"),
        "line 3: has 1 field separated by ',' (guessed; layout.separator chooses); expected 2.",
    ),
    "too many fields": (
        reading("user,item\n1,2\n\n3,4,5\n", separator=","),
        "rows.csv, line 4: has 3 fields separated by ','; expected 2.",
    ),
    "single colon": (
        reading("user::item\n1::2\n3:4\n"),
        "line 3: has 1 field separated by '::' (guessed; layout.separator chooses); expected 2.",
    ),
    "a row for a header": (
        reading("196,242,3\n4,5,6\n", user=0, item=1),
        "line 1: looks like a row, not like a line of names (196, 242, 3); if it is a row, say so (layout.header)",
    ),
    "a row for a header, unusual names": (
        reading("1,2\n3,4\n"),
        "If it is a row, say so (layout.header).",
    ),
    "a header for a row": (
        reading("userId,movieId\n1,2\n", user=0, item=1, header=False),
        "line 1: looks like a line of names ('userId', 'movieId'), but the file is said to have none (layout.header).",
    ),
    "an unusual header for a row": (
        reading(many("customer,what\n"), user=0, item=1, header=False),
        "line 1: user 'customer' is the only one of 31 ids that is no number; if it is an id: layout.ids 'text'.",
    ),
    "header twice": (
        reading(many("user,item\n", "user,item\n")),
        "line 32: is the line of names again, it seems: user",
    ),
    "one id that is no number": (
        reading(many("user,item\n", "total,7\n")),
        "rows.csv, line 32: user 'total' is the only one of 31 ids that is no number",
    ),
    "missing user": (
        reading("user,item\n1,2\n,4\n"),
        "line 3: user is missing (empty, or a word such as NULL or nan), as in 1 of 2 rows; layout.missing_ids",
    ),
    "missing item": (reading("user,item\n1,2\n3,\n"), "rows.csv, line 3: item is missing (empty, or a word such as"),
    "words for missing": (
        reading("user,item\n1,2\nNULL,4\nnan,3\n2,<NA>\n"),
        "line 3: user is missing (empty, or a word such as NULL or nan), as in 3 of 4 rows",
    ),
    "empty where words are ids": (reading("user,item\n1,2\nNULL,\n", missing_ids="ids"), "line 3: item is missing"),
    "control character": (reading("user,item\n1,2\x003\n"), r"line 2: item '2\x003' has a control character in it."),
    "no number where asked": (
        reading("user,item\n7,2\nx7,2\n", ids="integer"),
        "line 3: user 'x7' is no whole number (layout.ids is 'integer').",
    ),
    "number with a leading zero": (reading("user,item\n07,2\n", ids="integer"), "line 2: user '07' is no whole number"),
    "number with a point": (
        reading("user,item\n1,2\n1.0,2\n"),
        "rows.csv: user ids '1' and '1.0' are one id in two spellings; write them alike, or take each as an id of its",
    ),
    "invisible character": (
        reading("user,item\nab,2\na\u200bb,2\n"),
        r"user ids 'ab' and 'a\u200bb' are one id in two spellings",
    ),
    "quote not closed": (reading('user,item\n"1,2\n3,4\n'), "line 2: has a quote that does not end with the field"),
    **{
        f"a line break within quotes, {name}": (
            reading(f'user,item,title\n1,2,"{text}"\n3,4,b\n'),
            "line 2: has a quote that does not end with the field (line breaks within quotes are not read)",
        )
        for name, text in {"alone": "a\nb", "after a quote": 'the ""a""\nb', "at the end": "a\n"}.items()
    },
    "text after a quote": (reading('user,item\n1,"2"3\n'), "line 2: has a quote that does not end with the field"),
    "not UTF-8": (
        reading(b"user,item\n1,2\n1,\xe9\n"),
        r"line 3: item is '\udce9', which is not UTF-8 text; layout.encoding names another encoding, such as latin-1.",
    ),
    "not the encoding": (
        reading(b"user,item\n1,2\n1,\x81\n", encoding="cp1252"),
        "rows.csv, line 3: is not cp1252 text.",
    ),
    "no lines at all": (reading("x" * 2**21), "line 1: is longer than 1,048,576 characters; expected a table."),
    "a long line": (reading("user,item\n1,2\n1," + "x" * 2**21), "line 3: is longer than 1,048,576 characters; expec"),
    "time is text": (reading(HEAD + "1,2,soon\n", **TIMED), "line 2: time is 'soon'; expected a number of time units"),
    "guessed time is text": (
        reading(HEAD + "1,2,soon\n"),
        "(column 'time' was taken for it by its name; layout.time chooses another, or 'none').",
    ),
    "time missing": (reading(HEAD + "1,2,3\n1,3,\n", **TIMED), "line 3: time is ''; expected a number of time units"),
    "time too large": (
        reading(HEAD + f"1,2,{2**63}\n", **TIMED),
        f"line 2: time is '{2**63}'; expected a number of time",
    ),
    "no such day": (reading(HEAD + "1,2,2011-02-30\n", **TIMED), "time is '2011-02-30'; expected a date or time such"),
    "day first": (reading(HEAD + "1,2,05/05/2011\n", **TIMED), "line 2: time is '05/05/2011'; expected a number of"),
    "dates and numbers": (reading(HEAD + "1,2,2011-05-05\n1,3,9\n", **TIMED), "line 3: time is '9'; expected a date"),
    "zone only sometimes": (
        reading(HEAD + "1,2,2011-05-05T12:00Z\n1,3,2011-05-05T12:00\n", **TIMED),
        "line 3: time is '2011-05-05T12:00'; expected a date or time such as 2011-05-05 12:00:00, with a zone, as in",
    ),
    "dates where numbers are asked": (
        reading(HEAD + "1,2,2011-05-05\n", **TIMED, time_format="s"),
        "line 2: time is '2011-05-05'; expected a number",
    ),
    "numbers where dates are asked": (
        reading(HEAD + "1,2,1304596800\n", **TIMED, time_format="iso"),
        "line 2: time is '1304596800'; expected a date",
    ),
    "rating with a comma": (
        reading(STARS + '1,2,"4,5"\n', **RATED),
        "line 2: rating is '4,5'; expected a number, with a point and no comma.",
    ),
    "rating is text": (reading(STARS + "1,2,four\n", **RATED), "line 2: rating is 'four'; expected a number."),
    "rating is no number": (
        reading(STARS + "1,2,4\n1,3,nan\n", **RATED),
        "line 3: rating is 'nan'; expected a number.",
    ),
    "no rating is high enough": (reading(STARS + "1,2,1\n", **RATED), "none of the 1 rows has a rating of at least 3."),
    "damaged gzip": (reading(b"\x1f\x8bnonsense"), "rows.csv: is a damaged or unfinished gzip file"),
    "unfinished gzip": (reading(gzip.compress(b"user,item\n1,2\n")[:-4]), "is a damaged or unfinished gzip file"),
    "damaged archive": (reading(b"PK\x03\x04nonsense"), "rows.csv: is a damaged or unfinished ZIP archive"),
    "archive of several files": (reading(zipped("a", "b")), "layout.member must say which file of the archive; it has"),
    "archive without the file": (
        reading(zipped("a"), member="c"),
        "rows.csv: there is no 'c' in the archive; it has a.",
    ),
    "Excel": (
        reading(zipped("[Content_Types].xml", "xl/workbook.xml")),
        "rows.csv: is an Excel workbook (.xlsx): save its sheet as CSV.",
    ),
    "web page": (reading("<!DOCTYPE html>\n<html>"), "rows.csv: is a web page: was the download refused?"),
    "JSON lines": (reading('{"user": 1, "item": 2}\n'), "rows.csv: is JSON, not a table of lines: export the table as"),
    "damaged Parquet": (reading(b"PAR1nonsense"), "rows.csv: is a damaged or unfinished Parquet file"),
    "damaged Arrow": (reading(b"ARROW1\x00\x00nonsense"), "rows.csv: is a damaged or unfinished Arrow (Feather) file"),
    "Parquet without a column": (
        reading_table(user=[1]),
        "no column has a usual name of item ids (item, itemid, iid, movieid, ...); set layout.item; the columns are",
    ),
    "Parquet without rows": (
        reading_table(user=pa.array([], pa.int64()), item=pa.array([], pa.int64())),
        "rows.csv: there are no rows.",
    ),
    "Parquet with a null": (
        reading_table(user=[1, None], item=[1, 1]),
        "row 2: user is missing (empty, or a word",
    ),
    "Parquet with an empty id": (reading_table(user=["a", ""], item=[1, 1]), "rows.csv, row 2: user is missing"),
    "Parquet with fractions": (
        reading_table(user=[1.5], item=[1]),
        "user (column 'user') has values that are no whole numbers; expected integers or text.",
    ),
    "Parquet with bytes": (
        reading_table(user=[b"1"], item=[1]),
        "(column 'user') has type binary; expected integers",
    ),
    "Parquet with text for times": (
        reading_table(user=[1], item=[1], time=["x"]),
        "time (column 'time') is not a number in every row",
    ),
    "Parquet with dates where numbers are asked": (
        reading_table(time_format="s", user=[1], item=[1], time=pa.array([0], pa.timestamp("s"))),
        "time (column 'time') is given as dates, but layout.time_format is 's'; expected 'iso'.",
    ),
    "Parquet with times that are no numbers": (
        reading_table(user=[1], item=[1], time=[float("nan")]),
        "time (column 'time') is not a finite number in every row.",
    ),
    "Parquet with narrow times": (
        reading_table(user=[1], item=[1], time=pa.array([1.3e9], pa.float32())),
        "(column 'time') has type float, which cannot tell whole numbers above 16,777,216 apart; store it wider.",
    ),
    "Parquet with very narrow times": (
        reading_table(user=[1], item=[1], time=pa.array([4096], pa.float16())),
        "(column 'time') has type halffloat, which cannot tell whole numbers above 2,048 apart; store it wider.",
    ),
    "Parquet with narrow ids": (
        reading_table(user=pa.array([2.0**25], pa.float32()), item=[1]),
        "user (column 'user') has type float, which cannot tell whole numbers above 16,777,216 apart",
    ),
    "Parquet with a missing time": (
        reading_table(user=[1, 1], item=[1, 2], time=[1, None]),
        "rows.csv, row 2: time (column 'time') is missing.",
    ),
}

LAYOUTS: dict[str, Case] = {
    "name without header": (
        layout(header=False, user="user"),
        "layout.user is 'user', but the file is said to have no line of names (layout.header): without one a column is",
    ),
    "nothing without header": (
        layout(header=False),
        "layout.user is missing; expected the column's position, from 0: the file is said to have no line of names",
    ),
    "unknown encoding": (
        layout(encoding="rot13"),
        "layout.encoding is 'rot13'; expected an encoding of text, such as 'utf-8' or 'latin-1'.",
    ),
    "negative position": (layout(user=-1), "layout.user is -1; expected a column's name, or its position from 0."),
    "one column for two": (layout(user="a", item="a"), "layout.item and layout.user are both 'a'; expected two."),
    "unknown separator": (
        layout(separator="/"),
        r"layout.separator is '/'; expected one of '\t', ',', ';', '|', '::', ",
    ),
    "rating without minimum": (
        layout(rating="stars"),
        "layout.rating is 'stars' and layout.minimum_rating is None; exp",
    ),
    "minimum without rating": (
        layout(minimum_rating=3),
        "layout.rating is None and layout.minimum_rating is 3; expected",
    ),
    "low ratings without minimum": (
        layout(low_ratings="touched"),
        "layout.low_ratings is 'touched'; expected layout.min",
    ),
    "minimum is no number": (
        layout(rating="r", minimum_rating=float("nan")),
        "layout.minimum_rating is nan; expected a",
    ),
    "negative lines": (layout(skip_lines=-1), "layout.skip_lines is -1; expected 0 or more."),
}

ROWS = "".join(f"{user},{item}\n" for user in range(6) for item in range(user, user + 5))
FEW = ProtocolOverrides(candidates=2)

DATA: dict[str, Case] = {
    "no file": (data(InteractionFile), "data.path is missing; expected the file of interactions."),
    "one user": (own_file("1,1\n1,2\n"), "own.csv: all 2 rows belong to one user (1); expected at least two."),
    "nobody has rows enough": (
        own_file("1,1\n2,2\n"),
        "own.csv: protocol fair keeps users with at least 5 distinct item",
    ),
    "too few items": (
        own_file(ROWS),
        "own.csv: too few items for the candidates of user 0: 10 items, of which the user",
    ),
    "no possible negative": (
        own_file(ROWS, overrides=FEW, negatives=8, client_fraction=1.0),
        "own.csv: user 0 has 7 possible negatives among 10 items, fewer than the 8 asked for per positive.",
    ),
    "fraction of nobody": (own_file(ROWS, overrides=FEW), "client_fraction is 0.1, which draws nobody out of 6 users;"),
    "fraction 0": (
        data(Synthetic, client_fraction=0.0),
        "data.client_fraction is 0.0; expected a number above 0 and at",
    ),
    "fraction above 1": (
        data(Synthetic, client_fraction=1.1),
        "data.client_fraction is 1.1; expected a number above 0",
    ),
    "fraction is no number": (data(Synthetic, client_fraction=float("nan")), "data.client_fraction is nan; expected a"),
    "negatives below none": (data(Synthetic, negatives=-1), "data.negatives is -1; expected at least 1 per positive,"),
    "certain failure": (
        lambda folder: Availability(failure=1.0),
        "availability.failure is 1.0; expected a probability from 0 to below 1.",
    ),
    "failure is no number": (
        lambda folder: Availability(failure=float("nan")),
        "availability.failure is nan; expected a probability from 0 to below 1.",
    ),
    "no examples in time": (
        lambda folder: Availability(max_examples=0),
        "availability.max_examples is 0; expected at least 1, or null.",
    ),
    "everybody is late": (
        data(Synthetic, availability=Availability(max_examples=3)),
        "availability.max_examples is 3, and every client has more examples in a round; expected at least 15, what",
    ),
    "unknown cohorts": (
        lambda folder: Availability(cohort="bernoulli"),  # type: ignore[arg-type]
        "availability.cohort is 'bernoulli'; expected 'uniform', 'poisson' or 'by_size'.",
    ),
    "nobody evaluated": (data(Synthetic, evaluate_users=0), "data.evaluate_users is 0; expected at least 1, or null:"),
    "more evaluated than there are": (
        own_file(ROWS, overrides=FEW, evaluate_users=7),
        "data.evaluate_users is 7; expected 1 to 6, the users of whom the protocol holds items out, or null.",
    ),
    "unknown redraw": (
        data(Synthetic, redraw_negatives="step"),
        "data.redraw_negatives is 'step'; expected 'round' or",
    ),
    "unknown protocol": (
        data(Synthetic, protocol="far"),
        "Unknown protocol 'far'; expected one of fair, fedrecgel, leg",
    ),
    "unknown part of a protocol": (
        data(Synthetic, overrides=ProtocolOverrides(ties="first")),  # type: ignore[arg-type]
        "overrides.ties is 'first'; expected one of 'hash', 'lowest_item'.",
    ),
    "more rows than fit": (
        lambda folder: Plan(10, 10, 51),
        "plan.rows is 51; expected 10 to 50: one to 5 rows for each",
    ),
    "unknown variant": (data(LastFM2K, variant="plays"), "Unknown variant 'plays' of lastfm-2k; expected one of tags,"),
    "data that is not there": (data(FilmTrust), "; `fedrec data fetch filmtrust` fetches it (licence: research use;"),
    "wrong checksum": (
        published(b"user,item\n1,1\n1,2\n2,2\n", "0" * 64),
        "rows.csv: wrong checksum: SHA-256 of the cont",
    ),
    "wrong counts": (
        published(b"user,item\n1,1\n", None),
        "has 1 users, 1 items and 1 rows; expected 2 users, 2 items",
    ),
    "no network": (fetching_without_network, "http://127.0.0.1:9/set.zip: cannot be downloaded"),
    "data only the user has": (
        lambda folder: fetch(DATA_SETS["qb-article"], str(folder)),
        "; fedrec cannot fetch it: get it from tenrec0.github.io, put it there",
    ),
}

COMMANDS: dict[str, Case] = {
    "unknown command of data": (
        command("data", "fetsh", "filmtrust"),
        "data: argument COMMAND: invalid choice: 'fetsh'",
    ),
    "fetch of an unknown data set": (
        command("data", "fetch", "ml-10m"),
        "Unknown data set 'ml-10m'; expected one of film",
    ),
    "fetch of nothing": (
        command("data", "fetch"),
        "data fetch: the following arguments are required: name; see fedrec",
    ),
    "audit of nothing there": (
        command("data", "audit", "FOLDER/x.csv"),
        "x.csv: neither a file nor a data set; data sets",
    ),
    "audit with an unknown option": (
        command("data", "audit", "filmtrust", "--colour"),
        "unrecognized arguments: --colour",
    ),
    "audit with an unknown protocol": (
        command("data", "audit", "filmtrust", "--protocol", "far"),
        "data audit: argument --protocol: invalid choice: 'far'",
    ),
    "audit with columns of a data set": (
        command("data", "audit", "filmtrust", "--user", "0"),
        "--user: is for a file of your own; fedrec knows filmtrust's columns",
    ),
    "audit of data that is not there": (
        command("data", "audit", "ml-1m", "--root", "FOLDER"),
        "ml-1m: there is no ratings.dat (or .gz) in",
    ),
}

CASES: dict[str, Case] = {
    f"{table}: {name}": case
    for table, cases in (("file", FILES), ("layout", LAYOUTS), ("data", DATA), ("command", COMMANDS))
    for name, case in cases.items()
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("FEDREC_DATA", raising=False)


@pytest.mark.parametrize("name", CASES)
def test_one_message_says_what_is_wrong(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, expected = CASES[name]
    try:
        status = run(tmp_path)
    except InputError as error:
        message = str(error)
    else:
        said = capsys.readouterr()
        assert status == 2, "it was not refused"
        assert said.err.startswith("fedrec: error: ")
        message = said.err.removeprefix("fedrec: error: ").removesuffix("\n")
    assert "\n" not in message
    assert expected in message
    # What a case writes itself is all there is: no unfinished file, no result.
    left = {os.path.relpath(path, tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"rows.csv", "own.csv", "set/rows.csv"}
