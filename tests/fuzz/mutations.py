"""What may happen to bytes, to nested values, to tables and to the words of a command line."""

from __future__ import annotations

import copy
import datetime
from random import Random
from typing import Any

# Values for any place: blanks, wrong types, numbers at all edges, text that means something somewhere.
# Whole numbers are either small or absurd: a size between is a long run that somebody may want.
VALUES: tuple[Any, ...] = (
    *(None, "", " ", [], {}, [None], {"": None}, True, False, "null", "None", "auto", "none"),
    *(0, 1, -1, 2, 3, 16, 2**31, 2**32, 2**63, -(2**63), 2**64, 10**20, 10**400),
    *(0.0, -0.5, 0.5, 1e-320, 1e20, 1e38, 1e308, float("nan"), float("inf"), float("-inf"), 1.5),
    *("1e3", "1_000", "0x10", "nan", "-1", "1,2", "0.1", "é", "\u200b", "\ufeffx", "a\u0000b", "a\nb", "\udcff", "‮abc"),
    *("../../up", "x" * 3000, "=1+1", "$\\bad{$", "*", "&x", "[", "{", "'", '"', "-", "--", "--help", "%s", "\\t"),
    *("os.system", "subprocess.Popen", "fedrec.models.NCF", "NCF", "torch.nn.Linear", "fair", "touched", "FedNCF"),
    *(datetime.date(2020, 2, 3), b"bytes", ["a", 1], [[1], [2]], {"class_path": "NCF"}, {"init_args": {}}),
    *({"class_path": None}, {"class_path": "os.system", "init_args": {"command": "true"}}, {"a": {"b": 1}}),
)
PIECES = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\r",
        b"\n",
        b"\t",
        b'"',
        b"'",
        b",",
        b",,",
        b";",
        b"::",
        b": ",
    ),
    *(
        b"nan",
        b"NULL",
        b"1e999",
        b"9" * 400,
        b"-",
        b"#",
        b"&a ",
        b"*a",
        b"!!python/object:os.system ",
        b"%",
        b"{",
        b"[[[",
    ),
    *("é\u200b".encode(), "é".encode("latin-1"), b"PK\x03\x04", b"\x1f\x8b", b"PAR1", b"x" * 5000),
)


def spoil_bytes(draw: Random, content: bytes) -> bytes:
    """Change bytes in one to three ways."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        content = _spoil_once(draw, content)
    return content


def _spoil_once(draw: Random, content: bytes) -> bytes:
    start, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    end = min(end, start + draw.choice((1, 8, 64, 10**9)))
    way = draw.randrange(8)
    if way == 0 and content:
        place = draw.randrange(len(content))
        return content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1 :]
    if way == 1:
        return content[:start]
    if way == 2:
        return content[:start] + content[end:]
    if way == 3:
        return content[:end] + content[start:]
    if way == 4:
        return content[:start] + draw.choice(PIECES) + content[end:]
    if way == 5:
        return content[:start] + draw.randbytes(draw.choice((1, 4, 100))) + content[start:]
    if way == 6:
        lines = content.split(b"\n")
        lines[draw.randrange(len(lines))] = draw.choice((*PIECES, draw.choice(lines)))
        return b"\n".join(lines)
    return content[:start] + draw.choice(PIECES) + content[start:]


def spoil_tree(draw: Random, tree: Any) -> Any:
    """Change nested mappings and lists in one to three places."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.choice((1, 1, 2, 3))):
        places = list(_places(tree))
        if not places:
            return draw.choice(VALUES)
        if draw.random() < 0.02:
            return draw.choice(VALUES)
        holder, key = draw.choice(places)
        _spoil_place(draw, holder, key, places)
    return tree


def _spoil_place(draw: Random, holder: Any, key: Any, places: list[tuple[Any, Any]]) -> None:
    way = draw.randrange(10)
    if way < 5:
        holder[key] = copy.deepcopy(draw.choice(VALUES))
    elif way == 5:
        del holder[key]
    elif way == 6 and isinstance(holder, dict):
        holder[misspelt(draw, str(key))] = holder.pop(key) if draw.random() < 0.5 else holder[key]
    elif way == 7:
        holder[key] = [holder[key]] if draw.random() < 0.5 else {str(key): holder[key]}
    elif way == 8 and isinstance(holder, dict):
        holder[draw.choice(("callbacks+", "trainer.max_epochs", "class_path", 1, None, True, "", " "))] = holder[key]
    else:
        other, name = draw.choice(places)
        value = copy.deepcopy(other[name])
        other[name] = copy.deepcopy(holder[key])
        holder[key] = value


def _places(tree: Any) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)


def misspelt(draw: Random, name: str) -> str:
    """A name with one slip of the keyboard, or several."""
    place = draw.randrange(len(name) + 1)
    return draw.choice(
        (
            name[:place] + name[place + 1 :],
            name[:place] + draw.choice("abc_.-=+ é\x00") + name[place:],
            name[:place],
            name[place:] + name[:place],
            name.upper(),
            name.replace("_", "-"),
            f"{name}.{name}",
            f"{name}+",
        )
    )


def spoil_words(draw: Random, words: list[str]) -> list[str]:
    """Change the words of a command line in one to three places."""
    words = list(words)
    for _ in range(draw.choice((1, 1, 2, 3))):
        place = draw.randrange(len(words) + 1)
        way = draw.randrange(7)
        if place == len(words) or way == 0:
            words.insert(place, as_word(draw.choice(VALUES)))
        elif way == 1:
            words.insert(place, draw.choice(words))
        elif way == 2 and len(words) > 1:
            del words[place]
        elif way == 3:
            words[place] = misspelt(draw, words[place])
        else:
            name, equals, value = words[place].partition("=")
            value = as_word(draw.choice(VALUES)) if draw.random() < 0.8 else draw.choice(words).partition("=")[2]
            words[place] = f"{name}={value}" if equals or name.startswith("--") else value
    return words


def as_word(value: Any) -> str:
    """A value as it would be typed; what cannot stand in a process's arguments is left out of it."""
    text = repr(value) if isinstance(value, (dict, list, bytes)) else "null" if value is None else str(value)
    return text.replace("\0", "")


def spoil_cells(draw: Random, text: str, separator: str) -> str:
    """Change cells, rows and columns of a table of lines."""
    rows = [line.split(separator) for line in text.splitlines()]
    for _ in range(draw.choice((1, 1, 2, 3, 20))):
        row = draw.randrange(len(rows))
        column = draw.randrange(len(rows[row]))
        way = draw.randrange(8)
        if way < 4:
            rows[row][column] = as_word(draw.choice(VALUES)).encode("utf-8", "replace").decode()
        elif way == 4:
            rows.insert(draw.randrange(len(rows)), list(rows[row]))
        elif way == 5:
            value = as_word(draw.choice(VALUES)).encode("utf-8", "replace").decode()
            for each in rows[1:]:
                each[min(column, len(each) - 1)] = value
        elif way == 6:
            rows[row].insert(column, rows[row][column])
        elif len(rows[row]) > 1:
            del rows[row][column]
    return "\n".join(separator.join(row) for row in rows) + draw.choice(("\n", ""))
