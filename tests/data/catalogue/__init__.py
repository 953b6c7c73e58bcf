"""Tests of fedrec.data.catalogue."""
