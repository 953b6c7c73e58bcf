"""Tests of fedrec/uploads."""
