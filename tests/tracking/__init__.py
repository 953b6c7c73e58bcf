"""Tests of fedrec.tracking."""
