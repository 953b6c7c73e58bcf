"""Reading ``test.json``, what ``fedrec test`` found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedrec.errors import InputError

# What of a test's results is read again, and its types; what a file lacks is known to be from an earlier version.
_KINDS: dict[str, type] = dict.fromkeys(("users", "all_users", "items", "candidates", "rounds", "trained"), int)
_KINDS |= {"data": str, "protocol": str, "fingerprint": str, "intervals": dict}
_EXPECTED = {str: "a text", int: "a whole number", dict: "names with values"}


def read_results(path: Path) -> dict[str, Any]:
    """Read the results of a test: ``metrics`` by name, and the rules under which they came about.

    Args:
        path: The file; one that does not exist holds nothing.

    Raises:
        InputError: If it is damaged.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8") from None
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path}: not the results of a test: {error}") from None
    metrics = report.get("metrics") if isinstance(report, dict) else None
    if not isinstance(metrics, dict) or not all(isinstance(value, int | float) for value in metrics.values()):
        raise InputError(f"{path}: not the results of a test; expected names, among them metrics with numbers")
    for name, kind in _KINDS.items():
        if name in report and type(report[name]) is not kind:
            raise InputError(f"{path}: {name} is {json.dumps(report[name])[:80]}; expected {_EXPECTED[kind]}")
    for name, interval in report.get("intervals", {}).items():
        ends = interval if isinstance(interval, list) else []
        if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends):
            raise InputError(f"{path}: intervals: {name} is {json.dumps(interval)[:80]}; expected two numbers")
    return dict(report)
