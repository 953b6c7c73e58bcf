"""``LocalNoise``: clients noise what they send, and need to trust nobody; ``UnclippedNoise`` as it was published.

Source: the noise of local differential privacy as PFedRec (Zhang et al., IJCAI 2023, arXiv:2301.08143) and GPFedRec
(Zhang et al., KDD 2024, arXiv:2305.07866) have it on uploaded item tables: Laplace noise on every number. Their codes
do not clip, and so no epsilon can be stated for them: that is :class:`UnclippedNoise`. :class:`LocalNoise` comes after
a ``Clip`` with bound C. Any two uploads of a client then differ by at most 2 C, and one upload is differentially
private with ``epsilon = 2 C / scale`` under Laplace noise and a bound on the sum of magnitudes (Dwork et al., TCC
2006), or as the library dp-accounting has it under Gaussian noise and a bound on the Euclidean norm (Balle, Wang, ICML
2018). A client that takes part in k rounds has spent at most k times that.

All rows of item tables get noise, and are sent: noise on a client's own rows alone would tell which these are.
Deviation: shared parameters other than item tables, which the papers' models do not have, get noise as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor

from fedrec.errors import InputError
from fedrec.exchange import Upload
from fedrec.uploads import noise
from fedrec.uploads.accountant import epsilon_of_gaussian
from fedrec.uploads.clip import Clip
from fedrec.uploads.step import Between, UploadStep

Kind = Literal["gaussian", "laplace"]
ORDER = {"gaussian": 2, "laplace": 1}


class LocalNoise(UploadStep):
    """Adds noise to every number that a client could send; after a ``Clip``.

    With ``scale`` 0 what arrives at the server is the same in another form. ``train/local_epsilon`` is that of one
    upload.

    Args:
        scale: Standard deviation of Gaussian noise, or the scale of Laplace noise; at least 0.
        kind: ``gaussian``, after ``Clip`` with ``order`` 2; or ``laplace``, after one with ``order`` 1.
        delta: Delta of Gaussian noise.

    Raises:
        InputError: If an option is outside its range.
    """

    whole = True

    def __init__(self, scale: float = 1.0, kind: Kind = "gaussian", delta: float = 1e-5) -> None:
        super().__init__()
        said = f"model.uploads: {type(self).__name__}"
        if not 0 <= scale < float("inf"):
            raise InputError(f"{said}: scale={scale}: expected a finite number of at least 0")
        if kind not in ORDER:
            raise InputError(f"{said}: kind={kind!r}: expected gaussian or laplace")
        if not 0 < delta < 1:
            raise InputError(f"{said}: delta={delta}: expected a number above 0 and below 1")
        self.scale, self.kind, self.delta = scale, kind, delta
        self._bound = float("inf")

    def check(self, between: Between) -> None:
        """See base class: only after clipping does noise hide anything."""
        name, order, before = type(self).__name__, ORDER[self.kind], list(between.before)
        clips = [step for step in before if isinstance(step, Clip) and step.order == order]
        if not clips:
            raise InputError(
                f"model.uploads: {self.kind} noise of {name} hides nothing without clipping; expected Clip with "
                f"order={order} before it"
            )
        loud = [type(step).__name__ for step in before[before.index(clips[0]) :] if not step.keeps_bound]
        if loud:
            raise InputError(f"model.uploads: {', '.join(loud)} between Clip and {name} may undo the clipping")
        self._bound = min(clip.bound for clip in clips)

    def working_floats(self, dense: int, row: int, items: int) -> tuple[int, int]:
        """See base class: whole tables, the noise in float64, and the words that it is made of."""
        return 0, 8 * (dense + items * row)

    def on_client(self, upload: Upload) -> Upload:
        """See base class."""
        whole = upload.whole()
        noised = {name: value + self._noise(name, value, upload.clients) for name, value in whole.dense.items()}
        return replace(whole, dense=noised, encodings=None)

    def _noise(self, name: str, value: Tensor, clients: Tensor) -> Tensor:
        drawn = noise.of_clients(clients, value.shape[1:].numel(), f"local noise of {name}", self.exchange)
        shaped = noise.normal(drawn) if self.kind == "gaussian" else noise.laplace(drawn)
        return shaped.mul_(self.scale).to(value.dtype).view_as(value)

    def metrics(self) -> dict[str, float]:
        """See base class."""
        return {"local_epsilon": self._epsilon()}

    def _epsilon(self) -> float:
        if not self.scale or self._bound == float("inf"):
            return float("inf")
        relative = self.scale / (2 * self._bound)
        return epsilon_of_gaussian(relative, self.delta) if self.kind == "gaussian" else 1 / relative


class UnclippedNoise(LocalNoise):
    """The published codes' noise: no clipping, no guarantee; ``train/local_epsilon`` is infinite.

    Args:
        scale: See :class:`LocalNoise`; the published codes call it ``dp``.
        kind: Likewise; published: ``laplace``.
    """

    def __init__(self, scale: float = 0.5, kind: Kind = "laplace") -> None:
        super().__init__(scale, kind)

    def check(self, between: Between) -> None:
        """See base class: goes with anything, and guarantees nothing."""

    def plan(self, rounds: int | None, coin: float | None) -> None:
        """See base class: says what it is worth."""
        print("model.uploads: UnclippedNoise gives no guarantee: without clipping there is no epsilon, at any scale")
