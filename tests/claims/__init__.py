"""Tests of fedrec.claims."""
