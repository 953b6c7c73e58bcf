"""Tests of fedrec.jobs."""
