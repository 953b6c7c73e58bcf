"""``SecureSum``: secure aggregation, after which the server holds the sum of the uploads and nothing of any one.

Source: Bonawitz et al., *Practical Secure Aggregation for Privacy-Preserving Machine Learning* (CCS 2017), with the
graph of neighbours of Bell et al. (CCS 2020). A client writes its numbers as integers modulo ``2^bits``, adds a mask of
its own and one for each neighbour, which the neighbour subtracts, and sends the result: uniform, whatever it holds.
When uploads are in, the arrived clients reveal the seeds of their own masks, and neighbours of those who did not arrive
(failed, late, or left out since their numbers are not finite) the seeds of the masks that these should have cancelled.

Simulated, exactly: the rounding, masks over whole item tables, the sum modulo ``2^bits``, the repair pair by pair. And
that secrets are shared among a client's neighbours, more than half of whom must arrive to reveal one: if any selected
client has fewer that did, or only one client arrived, the round ends without a sum, and the server does not step
(after ``model.privacy`` along noise alone, as in any round of nobody).

Not simulated: what goes over a network besides the masked uploads. Of key agreement, shares and signatures there are
neither steps nor bytes (a few kB a client, beside an upload); seeds are a function of (seed, round, clients) that one
process knows, the generator is a hash and no cipher, and nothing shields against a server that lies about who arrived.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fedrec.encoding import Encoding, Encodings
from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.models.recommender import Params
from fedrec.processes import Processes
from fedrec.uploads.chance import chances
from fedrec.uploads.fixed_point import FixedPoint
from fedrec.uploads.masks import Circle
from fedrec.uploads.secure_round import SecureRound
from fedrec.uploads.step import Between, Exchange, UploadStep


class SecureSum(UploadStep):
    """Sums uploads so that the server sees the sum or nothing; the last step, for servers that need no more than a sum.

    Numbers are rounded to multiples of a unit, of which a sum of all selected clients' cannot overflow: of
    ``bound / (2^(bits - 1 - c) - 1)``, with n of them and ``c = ceil(log2 n)``. A mean differs by less than a unit from
    that of the plain round, a sum by less than one for each client.

    Args:
        bound: Largest magnitude of a number that a client may send; a larger one ends the run.
        bits: Of an integer: 8 to 32.
        neighbours: With how many others a client shares masks, an even number; null: with all.
        rounding: ``stochastic`` (unbiased) or ``to_zero``, which never raises an upload's norm, as ``model.privacy``
            before it needs.

    Raises:
        InputError: If an option is outside its range.
    """

    last = True

    def __init__(
        self,
        bound: float,
        bits: int = 32,
        neighbours: int | None = 20,
        rounding: Literal["stochastic", "to_zero"] = "stochastic",
    ) -> None:
        super().__init__()
        if not 0 < bound < float("inf"):
            raise InputError(f"model.uploads: SecureSum.bound={bound}; expected a finite number above 0")
        if not 8 <= bits <= 32:
            raise InputError(f"model.uploads: SecureSum.bits={bits}; expected 8 to 32")
        if neighbours is not None and (neighbours < 2 or neighbours % 2):
            raise InputError(f"model.uploads: SecureSum.neighbours={neighbours}; expected an even number, or null")
        self.bound, self.bits, self.neighbours, self.rounding = bound, bits, neighbours, rounding
        self.keeps_bound = rounding == "to_zero"

    def check(self, between: Between) -> None:
        """See base class.

        Raises:
            InputError: If the server needs more than a sum, or another step would come after this one.
        """
        if between.aggregates == "each" or between.watching:
            needs = between.watching[0] if between.watching else f"model.server={between.server}"
            raise InputError(
                f"model.uploads: after SecureSum there is a sum alone, and {needs} looks at what each client sends; "
                "expected a server of a mean or a sum over all clients, such as MeanServer with rows_over=clients"
            )
        self._mean = between.aggregates == "mean"

    def working_floats(self, dense: int, row: int, items: int) -> tuple[int, int]:
        """See base class: chances and integers in float64; masks are added in tiles of a fixed size."""
        return 10 * row, 10 * dense

    def initialise(
        self, shapes: Mapping[str, torch.Size], item_tables: Sequence[str], num_users: int, seed: int
    ) -> None:
        """See base class."""
        self._shapes = dict(shapes)
        self.register_buffer("_like", torch.zeros(()), persistent=False)  # follows the model's type and device

    def begin_round(self, exchange: Exchange) -> None:
        """See base class.

        Raises:
            InputError: If the integers hold no sum of so many clients.
        """
        super().begin_round(exchange)
        selected = (exchange.clients if exchange.selected is None else exchange.selected).cpu().numpy()
        self._ring = FixedPoint(self.bound, self.bits, len(selected))
        circle = Circle.of(selected, self.neighbours, exchange.seed, exchange.round)
        self._secure = SecureRound(exchange.seed, exchange.round, circle, self._shapes, self.bits)
        self._sums = {name: torch.zeros(shape.numel(), dtype=torch.int64) for name, shape in self._shapes.items()}
        self._arrived: list[Tensor] = []
        self._there_is_a_sum = False

    def on_client(self, upload: Upload) -> Upload:
        """See base class; what leaves this step has no numbers and no items, but the clients, who are known.

        Raises:
            InputError: If a number is beyond the bound.
        """
        number = self.exchange.round
        drawn = {} if self.rounding == "to_zero" else chances(upload, self.exchange.seed, number, "secure sum")
        for name, _, places, integers in self._secure.arriving(upload, self._ring.of_upload(upload, drawn, number)):
            self._sums[name].numpy()[places] += integers.sum(0, dtype=np.int64)
        self._arrived.append(upload.clients.cpu())
        none = torch.zeros_like(upload.clients)
        form = Encoding(none + sum(shape.numel() for shape in self._shapes.values()), none, none, self.bits)
        rest = replace(upload, dense={}, rows={}, items=upload.items[:, :0], counts=none)
        return replace(rest, encodings=Encodings(form, form))

    def reduce(self, processes: Processes) -> None:
        """See base class: the sum of all processes' clients, without their masks."""
        self._sums = processes.sum(self._sums)
        parts = [one for part in processes.gather(self._arrived) for one in part]
        arrived = torch.cat([torch.zeros(0, dtype=torch.int64), *parts]).sort().values
        self._there_is_a_sum = self._secure.unmask(self._sums, arrived.numpy())
        self._over = len(arrived) if self._mean else 1

    def on_server(self, direction: Params) -> Params:
        """See base class: the sum, or the mean over those who arrived, in place of the aggregate of nothing."""
        if not self._there_is_a_sum:
            return {}
        sums = {name: self._ring.numbers(value) / self._over for name, value in self._sums.items()}
        return {name: value.view(self._shapes[name]).to(self.get_buffer("_like")) for name, value in sums.items()}

    def metrics(self) -> dict[str, float]:
        """See base class: whether the round ended without a sum."""
        return {"sum_withheld": float(not self._there_is_a_sum)}
