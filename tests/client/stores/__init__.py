"""Tests of fedrec.client.stores."""
