"""``TopK``: clients send the largest numbers of their upload alone, each with its index.

Source: magnitude sparsification, Aji and Heafield (EMNLP 2017, arXiv:1704.05021); analysed with error feedback by
Stich, Cordonnier, Jaggi (NeurIPS 2018, arXiv:1809.07599), which is ``ErrorFeedback`` here. The k largest magnitudes are
those of the whole upload, dense parameters and item tables together.

Deviations: numbers that are 0 are not sent, so that a client with fewer others than k sends fewer; of equal magnitudes
those of lower index are sent, so that exactly k are. An index is a whole number of 32 bits, which says to which item a
number belongs; a client that sends less by writing down its whole upload, zeros included, does so. A client
whose row of an item is left without a number still counts among those who sent the item, with a row of zeros, where the
server asks (``rows_over: senders``, ``RowFrequency``): asked is who trained on it, and a mean over those alone whose
numbers are the largest would be too long. That list of items is not counted among the bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fedrec.encoding import Encoding
from fedrec.errors import InputError
from fedrec.exchange import Upload, flat
from fedrec.uploads.step import UploadStep


class TopK(UploadStep):
    """Keeps the numbers of largest magnitude of each client's upload; the others become 0.

    With ``ratio=1``, or as many as there are, nothing changes, to the bit.

    Args:
        ratio: Share of the numbers of a whole upload that are sent, above 0 and at most 1, rounded up; or
        number: How many are sent.

    Raises:
        InputError: If an option is outside its range, or not exactly one is given.
    """

    keeps_bound, lossy = True, True

    def __init__(self, ratio: float | None = None, number: int | None = None) -> None:
        super().__init__()
        if (ratio is None) == (number is None):
            raise InputError(f"model.uploads: TopK has ratio={ratio} and number={number}; expected one of them")
        if ratio is not None and not 0 < ratio <= 1:
            raise InputError(f"model.uploads: TopK.ratio={ratio}; expected a share above 0 and at most 1")
        if number is not None and number < 1:
            raise InputError(f"model.uploads: TopK.number={number}; expected at least 1")
        self.ratio, self.number = ratio, number

    def initialise(
        self, shapes: Mapping[str, torch.Size], item_tables: Sequence[str], num_users: int, seed: int
    ) -> None:
        """See base class.

        Raises:
            InputError: If more numbers are asked for than an upload has.
        """
        size = sum(shape.numel() for shape in shapes.values())
        if self.number is not None and self.number > size:
            raise InputError(f"model.uploads: TopK.number={self.number:,}; an upload has {size:,} numbers")
        self.size, self.kept = size, self.number or math.ceil((self.ratio or 0) * size - 1e-9)

    def working_floats(self, dense: int, row: int, items: int) -> tuple[int, int]:
        """See base class: numbers and magnitudes side by side, sorted ones with places, of ties the running count."""
        return 6 * row, 6 * dense

    def on_client(self, upload: Upload) -> Upload:
        """See base class."""
        if self.kept >= self.size:
            return upload
        parts = upload.dense | upload.rows
        lists = [flat(value) for value in parts.values()]
        keep = largest(torch.cat(lists, 1).abs_(), self.kept)
        kept = dict(zip(parts, keep.split_with_sizes([value.shape[1] for value in lists], 1), strict=True))
        masks = {name: mask.view_as(parts[name]) for name, mask in kept.items()}
        sparse = {name: torch.where(masks[name], value, 0) for name, value in parts.items()}
        return replace(
            upload,
            dense={name: sparse[name] for name in upload.dense},
            rows={name: sparse[name] for name in upload.rows},
            encodings=replace(before := upload.encoded(), listed=listed(masks, before.whole)),
        )


def listed(masks: Mapping[str, Tensor], form: Encoding) -> Encoding:
    """The numbers where ``masks [B, *shape]`` are True as single numbers, written like those of ``form``."""
    vectors = [mask if mask.dim() > 1 else mask[:, None] for mask in masks.values()]
    numbers = torch.stack([flat(mask).sum(1) for mask in vectors]).sum(0)
    used = torch.stack([flat(mask.any(-1)).sum(1) for mask in vectors]).sum(0)
    return replace(form, numbers=numbers, vectors=used, indices=numbers)


def largest(magnitudes: Tensor, count: int) -> Tensor:
    """Which ``count`` of each client's ``magnitudes [B, N]`` are its largest, ``bool [B, N]``; never one that is 0.

    Example:
        >>> largest(torch.tensor([[1.0, 2.0, 1.0, 1.0, 0.0], [0.0, 0.0, 3.0, 0.0, 0.0]]), 3).int().tolist()
        [[1, 1, 1, 0, 0], [0, 0, 1, 0, 0]]
    """
    if count >= magnitudes.shape[1]:
        return magnitudes > 0
    least = magnitudes.kthvalue(magnitudes.shape[1] - count + 1, dim=1, keepdim=True).values
    above, ties = magnitudes > least, magnitudes == least
    # By index, so that it makes no difference how far the clients of a bucket are padded.
    first = ties & (ties.cumsum(1, dtype=torch.int32) <= count - above.sum(1, keepdim=True))
    return (above | first) & (magnitudes > 0)
