"""What ``fedrec data audit --json`` and ``fedrec data leaks --json`` found: rows that stay, and README's tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fedrec.data.catalogue.sources import DATA_SETS
from fedrec.data.protocol.presets import PRESETS, Protocol
from fedrec.files import written_on

AUDITS, LEAKS = "audits", "leaks"
KEYS = ["data", "protocol"]
COMMANDS = {AUDITS: "audit", LEAKS: "leaks"}


def found(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """The table in which the findings of a file belong, and their rows."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return (LEAKS, _leaks(content)) if "leaks" in content else (AUDITS, [_audit(content)])


def take_over(paths: Sequence[Path], folder: Path) -> None:
    """Put findings in the place of those of the same data and protocol in ``audits.csv`` and ``leaks.csv``."""
    for path in paths:
        name, rows = found(path)
        about = {"command": command(name, rows[0]), "date": written_on(path)}
        new, file = pd.DataFrame(rows).assign(**about), folder / f"{name}.csv"
        if file.exists():
            old = pd.read_csv(file)
            again = (old[KEYS] == new.loc[0, KEYS]).all(axis=1)
            new = pd.concat([old[~again], new]).sort_values(KEYS, kind="stable")
        new.to_csv(file, index=False, float_format="%.6g")


def command(name: str, row: Mapping[str, Any]) -> str:
    """What prints the findings again; blank of files of one's own, variants and protocols with parts of their own."""
    if row["data"] not in DATA_SETS or row["protocol"] not in PRESETS:
        return ""
    further = {"--split_seeds": row.get("popular_hr_seeds"), "--rounds": row.get("rounds")}
    words = [f"{option} {value}" for option, value in further.items() if value is not None]
    about = f"{row['data']} --protocol {row['protocol']} --split_seed {row['split_seed']}"
    return " ".join(["fedrec data", COMMANDS[name], about, *words, "--json"])


def table(name: str, rows: pd.DataFrame) -> str:
    """README's table of ``audits.csv`` or ``leaks.csv``."""
    lines = _leak_lines(rows) if name == LEAKS else _audit_lines(rows)
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _audit(content: dict[str, Any]) -> dict[str, Any]:
    timeline = content["timeline"]
    scores = {
        **{"popular": content["baselines"]["most popular"], "repeat": content["baselines"]["repeat"]},
        **{"then": timeline["popular"], "late": timeline["recent"]},
    }
    row = {
        **{
            "data": content["name"],
            "protocol": Protocol(**content["protocol"]).label,
            "split_seed": content["split_seed"],
            "fingerprint": content["fingerprint"],
        },
        **{"users": content["kept"]["users"], "ranked": content["evaluated"]},
        **{"younger": timeline["younger"], "repeated": content["repeated"] / content["held_out"]},
        **{f"{name}_{metric}": score[metric] for name, score in scores.items() for metric in ("hr", "ndcg")},
    }
    seeds = content.get("over_split_seeds", {}).get("most popular", {}).get("HR@10", {})
    return row | {f"popular_hr_{name}": seeds.get(name) for name in ("mean", "low", "high", "seeds")}


def _audit_lines(rows: pd.DataFrame) -> list[list[str]]:
    head = [
        "data",
        "protocol",
        "users (ranked)",
        "younger",
        "repeated",
        "most popular",
        "at the time",
        "of late",
        "repeat",
    ]
    lines = [[*head, "most popular, HR@10 over split seeds"]]
    for row in rows.to_dict("records"):
        scores = [
            f"{row[f'{name}_hr']:.3f}/{row[f'{name}_ndcg']:.3f}" for name in ("popular", "then", "late", "repeat")
        ]
        seeds = "{popular_hr_mean:.3f} ({popular_hr_low:.3f} to {popular_hr_high:.3f})".format(**row)
        if not row["repeated"]:
            scores[-1] = ""  # nothing is held out that its user already has
        lines.append(
            [
                *(row["data"], f"`{row['protocol']}`", f"{row['users']:,} ({row['ranked']:,})"),
                *(f"{100 * row['younger']:.0f} %", f"{100 * row['repeated']:.1f} %" if row["repeated"] else "0"),
                *(*scores, "" if pd.isna(row["popular_hr_mean"]) else seeds),
            ]
        )
    return lines


def _leaks(content: dict[str, Any]) -> list[dict[str, Any]]:
    about = {
        **{"data": content["name"], "protocol": content["protocol"], "split_seed": content["split_seed"]},
        **{
            "fingerprint": content["fingerprint"],
            "rounds": content["rounds"],
            "leaks": content["leaks"],
            "sets": len(content["sets"]),
        },
    }
    rows = []
    for one in content["clients_alone"]:
        shares = {name: one[name] / one["users"] for name in ("hits", "expected", "low", "high")}
        rows.append({**about, "stage": one["stage"], "ranking": one["ranking"], "users": one["users"], **shares})
    return rows


def _leak_lines(rows: pd.DataFrame) -> list[list[str]]:
    lines = [["data", "protocol", "sets", "users", "held out for", "sampled HR@10", "full HR@10", "it leaks"]]
    for (data, protocol, stage), own in rows.groupby([*KEYS, "stage"], sort=False):
        of = own.set_index("ranking")
        cells = ["{hits:.3f} ({low:.3f} to {high:.3f})".format(**of.loc[name]) for name in ("sampled", "full")]
        first = own.iloc[0]
        sets = "told apart" if first["sets"] else "exchangeable"
        verdict = "yes" if first["leaks"] else "no"
        lines.append([data, f"`{protocol}`", sets, f"{first['users']:,}", stage, *cells, verdict])
    return lines
