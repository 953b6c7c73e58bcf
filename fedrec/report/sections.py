"""What the report says about the runs on one data set under one protocol."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedrec.analysis.columns import context
from fedrec.analysis.fingerprints import said_fingerprints, without_fingerprint
from fedrec.analysis.naming import SETTING
from fedrec.evaluation.results import said_users
from fedrec.report import page as html
from fedrec.report.figures import figures
from fedrec.report.learned import learned_table
from fedrec.report.study import Study
from fedrec.report.tables import differences_table, results_table, training_table
from fedrec.runs.folder import RunFolder
from fedrec.runs.settings import RUN, is_metric
from fedrec.runs.tested import tested_results

PROTOCOLS = {
    "fair": "One row per user and item. A user's newest item is the test item, the second newest the validation item; "
    "equal times are ordered by a seeded hash. The best round is picked on the validation item.",
    "fedrecgel": "As the published code does it: duplicate rows stay, so a test item may also be in its user's "
    "training rows, and the best round is picked on the test item itself. Figures under it are optimistic and compare "
    "with the paper's alone.",
    "temporal": "One cut in time for everybody: what comes before it is trained on; of what comes after it each user's "
    "first item is the validation item, the next one the test item. Users and items without a row before the cut are "
    "left out; users with fewer items after it train and are not ranked.",
    "legacy-negatives": "Training negatives avoid the held-out items too, which tells the model what they are. For "
    "comparison with papers that do so, not for conclusions.",
}


def sections(study: Study, baseline: str | None = None) -> list[str]:
    """All parts, as HTML.

    Args:
        study: The runs.
        baseline: The setting that the others are held against; None: the first.
    """
    left_out = [f"Run {run} is left out: {reason}." for run, reason in study.left_out.items()]
    if study.frame.empty:
        return [html.heading(2, "Runs"), *(html.paragraph(text, "warn") for text in left_out)]
    return [
        html.heading(2, context(study.frame) or "Runs"),
        *(html.paragraph(text, "warn") for text in left_out),
        *_protocol(study),
        html.heading(3, "Results in test"),
        *_untested(study),
        *results_table(study),
        *learned_table(study),
        *differences_table(study, baseline),
        *figures(study),
        *training_table(study),
        *_audit(study),
        *_configuration(study),
    ]


def command_to_test(folders: Sequence[Path], all_folders: Sequence[Path]) -> str:
    """The command that tests runs: by a pattern where these are all of a folder, else by their names.

    Args:
        folders: The runs to test.
        all_folders: All runs that there are.

    Example:
        >>> command_to_test([Path("runs/a"), Path("runs/b")], [Path("runs/a"), Path("runs/b")])
        'fedrec test --resume runs/*'
        >>> command_to_test([Path("my runs/b")], [Path("my runs/a"), Path("my runs/b")])
        "fedrec test --resume 'my runs/b'"
    """
    parents = {folder.parent for folder in folders}
    if len(folders) > 1 and set(folders) == {folder for folder in all_folders if folder.parent in parents}:
        names = [f"{shlex.quote(str(parent))}/*" for parent in sorted(parents)]
    else:
        names = [shlex.quote(str(folder)) for folder in folders]
    return f"fedrec test --resume {' '.join(names)}"


def _untested(study: Study) -> list[str]:
    missing = [folder for run, folder in study.folders.items() if run not in study.ranks]
    if not missing:
        return []
    verb = "was" if len(missing) == 1 else "were"
    text = f"{len(missing)} of {len(study.folders)} runs {verb} not tested; this does it:"
    return [html.paragraph(text, "warn"), html.verbatim(command_to_test(missing, list(study.folders.values())))]


def _protocol(study: Study) -> list[str]:
    name = str(study.frame["data.protocol"].iloc[0]) if "data.protocol" in study.frame else ""
    parts = [html.paragraph(PROTOCOLS[name], "soft")] if name in PROTOCOLS else []
    about = next((report for path in study.folders.values() if (report := tested_results(RunFolder(path)))), None)
    if about and {"users", "items", "candidates"} <= about.keys():
        text = (
            f"{said_users(about)}. Sampled: ranked among {about['candidates']} items that the user never touched; "
            f"full: among the {about['items']:,} items but those seen."
        )
        parts.append(html.paragraph(text, "soft"))
    parts += [html.paragraph(said, "soft")] if (said := said_fingerprints(study.frame)) else []
    parts += [html.paragraph(f"Runs {said}.", "warn")] if (said := without_fingerprint(study.frame)) else []
    return parts


def _audit(study: Study) -> list[str]:
    for folder in study.folders.values():
        audit = RunFolder(folder).audit
        if audit.is_file():
            text = audit.read_text(encoding="utf-8", errors="replace")
            return [html.heading(3, "Data audit"), html.verbatim(text)]
    return []


def _configuration(study: Study) -> list[str]:
    frame = study.frame.drop(columns=SETTING)
    columns = [column for column in frame.columns if column not in (RUN, "round") and not is_metric(column)]
    same = [column for column in columns if frame[column].nunique(dropna=False) == 1]
    rows = [[column, _value(frame[column].iloc[0])] for column in same]
    parts = [html.heading(3, "Configuration")]
    varying = [column for column in columns if column not in same]
    if varying:
        runs = frame.drop_duplicates(RUN)
        each = [[run, *map(_value, values)] for run, *values in runs[[RUN, *varying]].to_numpy().tolist()]
        parts.append(html.folded(f"What varies: {', '.join(varying)}", html.table(["run", *varying], each)))
    options = html.table(["option", "value"], rows)
    parts.append(html.folded(f"What all runs have in common: {len(same)} options that are not null", options))
    return parts


def _value(value: Any) -> str:
    if isinstance(value, float) and not pd.isna(value):
        return f"{value:g}"
    return "null" if pd.isna(value) else str(value)
