"""The command line of ``fit``, ``validate``, ``test`` and ``predict``."""
