"""Tests of fedrec.server."""
