"""The reference's options of a perturbation as production's composition, and back."""

from __future__ import annotations

from typing import Any

from fedrec.client import LocalTraining
from fedrec.client.asam import Adaptive
from fedrec.client.ascent import AlongGradient, Ascent, RadiusScale
from fedrec.client.eisam import ByFrequency, RowWise
from fedrec.client.fedlesam import FedLESAM
from fedrec.client.fedscam import ByExamples
from fedrec.client.gsam import GSAM
from fedrec.client.looksam import LookSAM
from fedrec.client.sam import Joint, Perturbation, Separate
from tests.reference.sam import SamOptions

KINDS: dict[str, type[Perturbation]] = {
    "separate": Separate,
    "joint": Joint,
    "gsam": GSAM,
    "looksam": LookSAM,
    "fedlesam": FedLESAM,
}
ASCENTS: dict[str, type[Ascent]] = {"gradient": AlongGradient, "adaptive": Adaptive, "rows": RowWise}
# By class: its options and what the reference calls them.
OPTIONS: dict[type, dict[str, str]] = {
    GSAM: {"alpha": "alpha"},
    LookSAM: {"alpha": "alpha", "every": "every"},
    Adaptive: {"eta": "eta"},
    ByExamples: {"exponent": "by_examples", "typical": "typical"},
    ByFrequency: {"exponent": "by_frequency"},
}


def perturbation(options: SamOptions) -> Perturbation:
    """Return production's composition of the reference's options."""
    kind = KINDS[options.perturb]
    scales: list[RadiusScale] = [
        made(of, options) for of in (ByExamples, ByFrequency) if getattr(options, OPTIONS[of]["exponent"])
    ]
    ascent = {} if kind is FedLESAM else {"ascent": made(ASCENTS[options.ascent], options)}
    found: Perturbation = made(kind, options, scales=scales, **ascent)
    return found


def made(kind: type, options: SamOptions, **more: Any) -> Any:
    """Return a part with its options, as the reference has them."""
    return kind(**{name: getattr(options, theirs) for name, theirs in OPTIONS.get(kind, {}).items()}, **more)


def sam_options(client: LocalTraining) -> SamOptions:
    """Return the reference's options of a client's perturbation.

    Raises:
        LookupError: The reference does not know a part of it.
    """
    own = client.perturbation
    parts = [own, own.ascent, *own.scales]
    known = {*KINDS.values(), *ASCENTS.values(), ByExamples, ByFrequency}
    strange = [type(part).__name__ for part in parts if type(part) not in known]
    if strange or len({type(part) for part in parts}) < len(parts):
        raise LookupError(f"the reference does not know {strange or 'a scale twice'}; it learns in sam.py")
    values = {theirs: getattr(part, name) for part in parts for name, theirs in OPTIONS.get(type(part), {}).items()}
    perturb = next(name for name, kind in KINDS.items() if kind is type(own))
    ascent = next(name for name, kind in ASCENTS.items() if kind is type(own.ascent))
    return SamOptions(client.radii.shared, client.radii.private, perturb, ascent, **values)
