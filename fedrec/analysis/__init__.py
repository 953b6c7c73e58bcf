"""Analysis: from logged runs to statistics and figures. Notebooks and the report hold no logic beyond this package."""

from fedrec.analysis.runs import load_runs

__all__ = ["load_runs"]
