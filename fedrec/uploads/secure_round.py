"""One round of secure aggregation in integers: what arrives at the server, and the sum that it gets from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedrec.data.draws import Int64s
from fedrec.exchange import Upload
from fedrec.uploads.masks import Circle, Masks, UInt32s


@dataclass(frozen=True)
class SecureRound:
    """The masks of one round.

    Attributes:
        seed: Training seed.
        round: Number of the round, from 0.
        circle: The selected clients, and who shares masks with whom.
        shapes: Shapes of what is sent, by name: ``[I, K]`` of item tables.
        bits: The integers are those modulo ``2^bits``.
    """

    seed: int
    round: int
    circle: Circle
    shapes: Mapping[str, torch.Size]
    bits: int

    def arriving(self, upload: Upload, integers: Mapping[str, UInt32s]) -> Iterator[tuple[str, slice, slice, UInt32s]]:
        """What the clients of a bucket send, all rows of item tables included, in tiles of a fixed size.

        Args:
            upload: What they would send without masks.
            integers: Its numbers modulo 2^32: ``[B, N]`` dense ones, ``[B, P, K]`` of item rows.

        Yields:
            Name, which of the clients, which of the places 0 to N - 1, and masked integers ``uint32 [b, c]``.
        """
        clients = upload.clients.cpu().numpy()
        masks = Masks.of(clients, np.concatenate([clients[:, None], self.circle.neighbours(clients)], 1))
        items = np.where(upload.real().cpu().numpy(), upload.items.cpu().numpy(), -1)
        for name, shape in self.shapes.items():
            width = shape[-1] if name in upload.rows else 1
            for some, places in masks.tiles(shape.numel(), width):
                tile = self._masks(masks, name, some, places)
                if name in upload.rows:
                    rows = tile.reshape(len(tile), -1, width)
                    at = items[some] - places.start // width
                    client, row = np.nonzero((at >= 0) & (at < rows.shape[1]))
                    rows[client, at[client, row]] += integers[name][some][client, row]
                elif name in upload.dense:
                    tile += integers[name][some, places]
                yield name, some, places, tile & np.uint32(2**self.bits - 1)

    def unmask(self, sums: Mapping[str, Tensor], arrived: Int64s) -> bool:
        """Take off the masks that did not cancel, if their seeds can be revealed.

        Args:
            sums: ``int64 [N]`` by name, what arrived added up; changed to the sum of the clients' integers modulo
                ``2^bits``.
            arrived: ``int64 [a]`` the clients whose uploads did, ascending.

        Returns:
            Whether there is a sum.
        """
        masks = self.circle.left(arrived)
        if masks is None:
            return False
        for name, shape in self.shapes.items():
            for some, places in masks.tiles(shape.numel()):
                sums[name].numpy()[places] -= self._masks(masks, name, some, places).sum(0, dtype=np.int64)
            sums[name].remainder_(2**self.bits)
        return True

    def _masks(self, masks: Masks, name: str, some: slice, places: slice) -> UInt32s:
        return masks.sums(self.seed, f"mask {name}", self.round, some, places)
