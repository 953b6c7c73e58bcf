"""The audit of a data set under a protocol."""
