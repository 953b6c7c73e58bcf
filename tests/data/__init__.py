"""Tests of fedrec.data."""
