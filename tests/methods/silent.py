"""A server that stays as it is, whatever it is sent."""

from __future__ import annotations

import torch

from fedrec.models.recommender import Params
from fedrec.server import MeanServer


class SilentServer(MeanServer):
    """Takes a step along nothing."""

    def __init__(self) -> None:
        super().__init__("sgd", 1.0)

    def direction(self) -> Params:
        super().direction()
        return {name: torch.zeros_like(value) for name, value in self.parameters_now().items()}
