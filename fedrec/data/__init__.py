"""Data: from a file to cohorts and held-out items."""
