"""Tests of fedrec.runs."""
