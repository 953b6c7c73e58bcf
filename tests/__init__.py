"""Tests of fedrec; they mirror the package."""
