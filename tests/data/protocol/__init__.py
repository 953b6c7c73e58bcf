"""Tests of fedrec.data.protocol.presets."""
