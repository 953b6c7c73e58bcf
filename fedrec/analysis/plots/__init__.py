"""Figures of runs. Every function takes frames of numbers and returns a matplotlib Figure; none keeps global state.

The figures of loss landscapes are in :mod:`fedrec.analysis.plots.landscape`, apart because they import torch.
"""

from fedrec.analysis.plots.arms import ablation
from fedrec.analysis.plots.costs import accuracy_against_cost
from fedrec.analysis.plots.curves import accuracy_against_megabytes, learning_curves
from fedrec.analysis.plots.gains import gains
from fedrec.analysis.plots.rates import heat_map
from fedrec.analysis.plots.settings import sensitivity

__all__ = [
    "ablation",
    "accuracy_against_cost",
    "accuracy_against_megabytes",
    "gains",
    "heat_map",
    "learning_curves",
    "sensitivity",
]
