"""Tests of fedrec.report."""
