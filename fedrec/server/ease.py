"""EASE: weights between items in closed form.

Source: Steck, *Embarrassingly Shallow Autoencoders for Sparse Data*, WWW 2019, arXiv:1905.03375. B minimises
``|X - X B|^2 + lam |B|^2`` with a diagonal of 0: with ``P = (X^T X + lam I)^-1``, ``B_ij = -P_ij / P_jj`` (eq. 8).

Deviations: float32, in the memory of the Gram matrix, by Cholesky's factors and not by a general inverse. X is binary
whatever the protocol does with duplicates. As a federation of one round it is the same solution, for X^T X is the sum
of the clients' ``x_u x_u^T``.
"""

from __future__ import annotations

import torch
from scipy.linalg import lapack
from torch import Tensor

from fedrec.errors import InputError
from fedrec.server.gram import BLOCK, GramServer

LOSS = 0.01  # largest relative error of the inverse that rounding may cause


def check_lam(lam: float, name: str = "model.server.lam") -> None:
    """Refuse a strength that is not a finite number above 0.

    Raises:
        InputError: Naming the option.
    """
    if not 0 < lam < float("inf"):
        raise InputError(f"{name}={lam}: expected a finite number above 0")


def ease(gram: Tensor, lam: float, name: str = "model.server.lam") -> None:
    """Write EASE's weights over a Gram matrix.

    Args:
        gram: ``[I, I]``, on the CPU; changed.
        lam: Strength of the regularisation, above 0.
        name: What the option is called.

    Raises:
        InputError: If ``lam`` is out of range, or so small that rounding would decide the weights.

    Example:
        Two users have items 0 and 1, one of them item 2 too:

        >>> gram = torch.tensor([[2.0, 2.0, 1.0], [2.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
        >>> ease(gram, lam=1.0)
        >>> gram
        tensor([[0.0000, 0.6000, 0.2000],
                [0.6000, 0.0000, 0.2000],
                [0.2000, 0.2000, 0.0000]])
    """
    check_lam(lam, name)
    # The largest eigenvalue is at most the largest row sum, the smallest at least lam.
    largest = float(gram.sum(1).max()) + lam
    fits = torch.finfo(gram.dtype).eps * largest / lam <= LOSS
    gram.diagonal().add_(lam)
    if not fits or not _invert(gram):
        least = torch.finfo(gram.dtype).eps * largest / LOSS
        raise InputError(f"{name}={lam:g}: so small that rounding would decide; expected at least {least:.2g} here")
    gram.div_(-gram.diagonal().clone())  # column j by P_jj
    gram.fill_diagonal_(0)


def _invert(matrix: Tensor) -> bool:
    """Invert a symmetric positive definite matrix in its own memory; False if it is not one."""
    single = matrix.dtype == torch.float32
    factor, inverse = (lapack.spotrf, lapack.spotri) if single else (lapack.dpotrf, lapack.dpotri)
    columns = matrix.numpy().T  # LAPACK's order of the same memory
    factors, failed = factor(columns, lower=0, clean=0, overwrite_a=1)
    if failed:
        return False
    _, failed = inverse(factors, lower=0, overwrite_c=1)
    if failed:
        return False
    # LAPACK has written the upper triangle in its order, which is the lower one here: complete it, some rows at a time.
    height = max(1, BLOCK // len(matrix))
    for start in range(0, len(matrix), height):
        rows = slice(start, min(start + height, len(matrix)))
        corner = matrix[rows, rows]
        corner.copy_(corner.tril() + corner.tril(-1).mT)
        matrix[rows, rows.stop :] = matrix[rows.stop :, rows].mT
    return True


class EaseServer(GramServer):
    """EASE from the lists of items that clients send.

    Args:
        lam: Strength of the regularisation, above 0; the larger, the closer to co-occurrence counts.

    Raises:
        InputError: If it is out of range.
    """

    def __init__(self, lam: float = 200.0) -> None:
        super().__init__()
        check_lam(lam)
        self.lam = lam

    def solve(self, gram: Tensor) -> None:
        """See base class."""
        ease(gram, self.lam)
