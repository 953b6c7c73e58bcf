"""Tests of fedrec.analysis.plots."""
