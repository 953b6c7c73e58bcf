"""fedrec: a laboratory for federated recommendation."""

__version__ = "0.1.0"
