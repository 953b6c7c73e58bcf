"""Tests of fedrec.metrics."""
