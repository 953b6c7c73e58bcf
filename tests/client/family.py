"""Every perturbation there is, for tests of what must hold for all of them."""

from __future__ import annotations

from typing import Any

from fedrec.client.asam import Adaptive
from fedrec.client.ascent import Ascent, RadiusScale
from fedrec.client.eisam import ByFrequency, RowWise
from fedrec.client.fedlesam import FedLESAM
from fedrec.client.fedscam import ByExamples
from fedrec.client.gsam import GSAM
from fedrec.client.looksam import LookSAM
from fedrec.client.sam import Joint, Perturbation, Separate
from fedrec.server import LastUpdate, MeanServer, RowFrequency

ASCENTS: dict[str, Ascent | None] = {"along": None, "adaptive": Adaptive(0.1), "rows": RowWise()}
SCALES: dict[str, list[RadiusScale]] = {
    "unscaled": [],
    "by client": [ByExamples()],
    "by row and client": [ByFrequency(), ByExamples(0.5, 4.0)],
}
KINDS: dict[str, Any] = {
    "separate": Separate,
    "joint": Joint,
    "gsam": lambda **parts: GSAM(0.4, **parts),
    "looksam": lambda **parts: LookSAM(2, 0.7, **parts),
}
FAMILY: dict[str, Perturbation] = {
    ", ".join((kind, ascent, scale)): KINDS[kind](ascent=ASCENTS[ascent], scales=SCALES[scale])
    for kind in KINDS
    for ascent in ASCENTS
    for scale in SCALES
}
FAMILY |= {f"fedlesam, {scale}": FedLESAM(own) for scale, own in SCALES.items()}


def server(optimizer: Any = "sgd", lr: float = 1.0) -> MeanServer:
    """A server that sends whatever one of them needs."""
    return MeanServer(optimizer, lr, sends=[LastUpdate(), RowFrequency()])
