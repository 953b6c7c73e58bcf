"""Reading ``test.json``, what ``fedrec test`` found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedrec.errors import InputError


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
    return dict(report)
