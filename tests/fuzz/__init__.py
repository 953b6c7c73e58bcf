"""Mutated input of every kind: whatever it is, a command ends in success or in one message.

A case is a function of the seed and its number alone. ``python -m tests.fuzz`` runs many, ``python -m tests.fuzz
--case N`` one, with what it printed.
"""
