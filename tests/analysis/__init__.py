"""Tests of fedrec.analysis."""
