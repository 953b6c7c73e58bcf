"""Protocols: from interactions to training rows, held-out items and candidates."""
