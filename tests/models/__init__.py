"""Tests of fedrec.models."""
