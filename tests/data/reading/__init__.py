"""Tests of fedrec.data.reading."""
