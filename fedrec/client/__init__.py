"""Clients: local training on padded buckets of clients, sharpness-aware perturbations, private state."""

from fedrec.client.local import LocalTraining

__all__ = ["LocalTraining"]
