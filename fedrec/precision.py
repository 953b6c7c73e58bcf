"""Lightning's precision plugin for federated rounds: products of scores and their gradients in bfloat16.

Lightning's own ``bf16-mixed`` runs a whole step under autocast: sums of uploads, norms, noise, masks and closed-form
solutions would lose digits with it. This plugin is what ``--trainer.precision bf16-mixed`` means instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from lightning import Trainer
from lightning.pytorch.plugins.precision import Precision

from fedrec.client import Client
from fedrec.errors import InputError
from fedrec.models.products import bfloat16_products
from fedrec.runs.settings import FLOAT32

BFLOAT16: Final = "bf16-mixed"


class BFloat16Products(Precision):
    """Rounds the factors of products to bfloat16, see :mod:`fedrec.models.products`; there is no loss to scale.

    On the command line it is ``--trainer.precision bf16-mixed``; from Python ``Trainer(plugins=[BFloat16Products()])``.
    """

    precision = BFLOAT16

    @contextmanager
    def forward_context(self) -> Iterator[None]:  # type: ignore[override]
        """Around every step: of training, validation, test and prediction."""
        with bfloat16_products():
            yield


def check_precision(precision: str | int | None) -> None:
    """Refuse what rounds are not computed in.

    Raises:
        InputError: Naming the option.
    """
    if precision not in (*FLOAT32, BFLOAT16):
        raise InputError(
            f"trainer.precision={precision}: expected 32-true, or {BFLOAT16} for the products of scores alone; "
            "all else is computed in float32"
        )


def require_precision(trainer: Trainer, client: Client) -> None:
    """Refuse a trainer whose precision has no meaning for the clients of a method.

    Raises:
        InputError: Naming the option.
    """
    check_precision(trainer.precision)
    if trainer.precision != BFLOAT16:
        return
    if not isinstance(trainer.precision_plugin, BFloat16Products):
        raise InputError(
            f"trainer.precision={BFLOAT16}: from Python it is `Trainer(plugins=[fedrec.precision.BFloat16Products()])`"
        )
    if not client.by_gradients:
        raise InputError(
            f"trainer.precision={BFLOAT16}: model.client={type(client).__name__} follows no gradients of scores; "
            "expected 32-true"
        )
