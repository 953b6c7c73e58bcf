"""What papers claim, replayed: files of claims, the runs that they need, verdicts, a page."""
