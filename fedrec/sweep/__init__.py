"""Sweep files without a server."""
