"""Tests of fedrec.sweep."""
