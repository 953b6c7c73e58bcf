"""Tests of fedrec.commands."""
