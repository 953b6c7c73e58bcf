"""Frames of runs with known numbers, and what a figure says."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text


def runs(settings: Iterable[dict[str, object]], hr: Iterable[Iterable[float]]) -> pd.DataFrame:
    """One run per setting with one row per value of ``hr``; NDCG is half of HR; 1.5 MB up and 0.5 down a round."""
    rows = [
        {
            "run": str(number),
            "round": round_,
            "data": "FilmTrust",
            "data.protocol": "fedrecgel",
            "test/popular_hr_10": 0.91,
            "train/bytes_up": 1.5e6,
            "train/bytes_down": 0.5e6,
            "val/hr_10": value,
            "val/ndcg_10": value / 2,
            **setting,
        }
        for number, (setting, values) in enumerate(zip(settings, hr, strict=True))
        for round_, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def text_of(figure: Figure) -> str:
    """All that is written on a figure."""
    return "\n".join(found.get_text() for found in figure.findobj(Text))
