"""``Quantise``: numbers of a few bits in place of float32, rounded at random so that their mean is what was to be sent.

Source: QSGD, Alistarh et al. (NeurIPS 2017, arXiv:1610.02132), section 3: a number x of a vector becomes one of the two
multiples of a step between which it lies, the upper one with a probability that makes the expectation x.

Deviations: the step is the vector's largest magnitude (QSGD: its 2-norm, which it also offers as the maximum) over the
number of levels; and a vector is a row, along the last axis: of an item table, of a weight matrix, or a whole bias.
Each has a scale of 32 bits that travels. Codes have a sign and are packed, 8 or 4 bits each; QSGD's Elias code, which
shortens runs of zeros, is not used.

A random rotation before it (Suresh et al., ICML 2017, arXiv:1611.00429: a randomised Hadamard transform, which makes
large numbers of a vector rare) does not earn its place here, and is left out. On uploads of FedRecGEL on FilmTrust
(rounds 0, 20 and 59) at 4 bits the relative error of item rows with a scale for each table is 0.34 to 0.52, with a
rotation 0.14 to 0.20, which pads and so takes 28 to 41 % more bytes; with a scale for each row it is 0.115 to 0.160 for
10 % more bytes, and rotating the rows under it makes it 0.156 to 0.180.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from fedrec.encoding import FLOAT_BITS
from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.uploads.chance import chances
from fedrec.uploads.step import UploadStep


class Quantise(UploadStep):
    """Sends every number as a signed code of a few bits, and a scale for each vector.

    ``bits=32`` changes nothing, to the bit. After ``TopK`` the numbers that are sent are quantised, with a scale for
    each vector that has any.

    Args:
        bits: Of a code: 8 (127 levels on either side of 0), 4 (7 levels) or 32 (none).

    Raises:
        InputError: If ``bits`` is another number.
    """

    lossy = True

    def __init__(self, bits: int = 8) -> None:
        super().__init__()
        if bits not in (4, 8, FLOAT_BITS):
            raise InputError(f"model.uploads: Quantise.bits={bits}; expected 4, 8 or 32")
        self.bits = bits

    def working_floats(self, dense: int, row: int, items: int) -> tuple[int, int]:
        """See base class: chances, codes and the words that the chances are made of, in float64."""
        return (0, 0) if self.bits == FLOAT_BITS else (10 * row, 10 * dense)

    def on_client(self, upload: Upload) -> Upload:
        """See base class."""
        if self.bits == FLOAT_BITS:
            return upload
        levels = 2 ** (self.bits - 1) - 1
        drawn = chances(upload, self.exchange.seed, self.exchange.round, "quantise")

        def sent(values: Tensor, chance: Tensor) -> Tensor:
            rows = values if values.dim() > 1 else values[:, None]  # numbers [B] are vectors of one
            scale = scales(rows, levels)
            return (codes(rows, scale, chance.view_as(rows)) * scale).view_as(values)

        dense = {name: sent(value, drawn[name]) for name, value in upload.dense.items()}
        rows = {name: sent(value, drawn[name]) for name, value in upload.rows.items()}
        forms = upload.encoded().each(lambda form: replace(form, bits=self.bits, scaled=True))
        return replace(upload, dense=dense, rows=rows, encodings=forms)


def scales(values: Tensor, levels: int) -> Tensor:
    """The step of each vector of ``values [*, n]``, ``[*, 1]``: its largest magnitude over ``levels``, rounded up.

    It is a number of 32 bits, whatever the type: not below the quotient, so that no code is beyond ``levels``.
    """
    largest = values.abs().amax(-1, keepdim=True).double()
    step = (largest / levels).float()
    step = torch.where(step.double() * levels < largest, step.nextafter(step.new_tensor(torch.inf)), step)
    return step.to(values.dtype)


def codes(values: Tensor, step: Tensor, chance: Tensor) -> Tensor:
    """Whole numbers whose expectation over ``chance`` is ``values / step``; 0 where the step is 0.

    Args:
        values: ``[*, n]``.
        step: ``[*, 1]``.
        chance: ``float64 [*, n]``, uniform from 0 to below 1.

    Returns:
        ``[*, n]``, of the type of ``values``.

    Example:
        >>> chance = torch.tensor([[0.0, 0.7, 0.8]], dtype=torch.float64)
        >>> codes(torch.tensor([[-1.0, 0.5, 0.5]]), torch.tensor([[0.4]]), chance).tolist()
        [[-3.0, 1.0, 2.0]]
    """
    quotient = values.double() / torch.where(step == 0, 1, step).double()
    return (quotient + chance).floor_().to(values.dtype)
