"""Tests of fedrec.evaluation.ranking."""
