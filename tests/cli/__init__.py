"""Tests of fedrec.cli.training."""
