"""Benchmarks, and the published style of loop that they compare with."""
