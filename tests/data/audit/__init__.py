"""Tests of fedrec.data.audit.audit."""
