"""Tests of fedrec.client."""
