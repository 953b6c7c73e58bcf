"""Protocols: how interactions become training rows, held-out items and candidates.

A protocol is a list of choices; the presets are the lists that the field uses. Each choice can be overridden alone, so
that what one of them does to a score can be measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Literal, get_args, get_type_hints

from fedrec.errors import InputError

Duplicates = Literal["keep", "drop"]
Ties = Literal["hash", "lowest_item"]
Negatives = Literal["train", "all"]
Share = float | None
Stage = Literal["validation", "test"]


@dataclass(frozen=True)
class Protocol:
    """The parts of a protocol.

    Attributes:
        name: The preset it is or began as.
        duplicates: ``drop`` leaves one row per (user, item), the newest; ``keep`` leaves all, so that the held-out
            item can also stand in its user's training rows.
        min_user_rows: Users with fewer rows are left out; counted after duplicates are dropped and low ratings are
            filtered. Users of one item alone are left out as well where two distinct items are to be held out.
        min_item_rows: Items with fewer rows are left out; with a number above 1 both limits are applied in turn until
            both hold (k-core).
        ties: Which of a user's rows with equal timestamps counts as the newest. ``hash``: one drawn by ``split_seed``,
            whatever its id and its place in the file; where there are no timestamps at all, that draws the held-out
            items. ``lowest_item``: the one with the lowest item id, as the published FedRecGEL loader has it, which
            lifts every score where low ids are popular items; where there are no timestamps they are drawn as that
            loader draws them, from the row order of the file.
        validation_item: Whether the newest row of another item is held out too, for selection.
        negatives_avoid: What a training negative may not be: one of the user's training items (``train``), or one of
            all of the user's items (``all``), which leaks the held-out ones: they are never trained as negatives.
        candidates: Items that the user never touched, drawn for every held-out item to be ranked against. HR@K is 1
            whatever the model where there are fewer than K. Drawing them takes time with the square of their number.
        selection_on: The held-out item that picks the best round; on ``test`` the reported score is optimistic.
        cut: None: each user's newest items are held out, whenever they came. A share between 0 and 1: one cut in time
            for everybody, before which lies that share of the rows (rows of one time stand on one side). All before it
            is trained on; of what comes after it, each user's first item is the validation item, the next one the test
            item. Users and items that have no row before the cut are left out; users with fewer items after it train
            and are not ranked; what comes later still is neither trained on nor ranked.
    """

    name: str
    duplicates: Duplicates = "drop"
    min_user_rows: int = 5
    min_item_rows: int = 1
    ties: Ties = "hash"
    validation_item: bool = True
    negatives_avoid: Negatives = "train"
    candidates: int = 99
    selection_on: Stage = "validation"
    cut: Share = None

    def __post_init__(self) -> None:
        if self.cut is not None and not 0 < self.cut < 1:
            raise InputError(f"overrides.cut is {self.cut}; it must be a share of the rows, between 0 and 1, or null.")
        if self.min_user_rows <= self.held_out_items:
            raise InputError(
                f"overrides.min_user_rows is {self.min_user_rows}; it must be at least {self.held_out_items + 1}"
                f", since {self.held_out_items} of a user's rows are held out and one must be left to train on."
            )
        if self.min_item_rows < 1:
            raise InputError(f"overrides.min_item_rows is {self.min_item_rows}; it must be at least 1.")
        if self.candidates < 1:
            raise InputError(f"overrides.candidates is {self.candidates}; it must be at least 1.")
        if self.selection_on == "validation" and not self.validation_item:
            raise InputError(
                f"Protocol {self.name} has no validation item, so the best round cannot be picked on it; set "
                "overrides.validation_item to true or overrides.selection_on to 'test'."
            )

    @property
    def held_out_items(self) -> int:
        """How many items of a user are held out, all distinct."""
        return 2 if self.validation_item else 1

    @property
    def label(self) -> str:
        """The name, with every part that differs from the preset of that name."""
        preset = asdict(PRESETS[self.name])
        changed = [f"{part}={value}" for part, value in asdict(self).items() if value != preset[part]]
        return f"{self.name} ({', '.join(changed)})" if changed else self.name

    @property
    def resolved(self) -> str:
        """Every part that is not the default, in the order of the parts, as text; the name has no say.

        A part that a later version adds, with a default that changes nothing, leaves the text as it is.
        """
        parts = [(field.name, getattr(self, field.name), field.default) for field in fields(self)]
        return ", ".join(f"{part}={value}" for part, value, default in parts if part != "name" and value != default)


@dataclass(frozen=True)
class ProtocolOverrides:
    """Parts of a protocol to set by hand; null leaves the preset's choice. See :class:`Protocol` for what they mean."""

    duplicates: Duplicates | None = None
    min_user_rows: int | None = None
    min_item_rows: int | None = None
    ties: Ties | None = None
    validation_item: bool | None = None
    negatives_avoid: Negatives | None = None
    candidates: int | None = None
    selection_on: Stage | None = None
    cut: Share = None


PRESETS: dict[str, Protocol] = {
    "fair": Protocol("fair"),
    "fedrecgel": Protocol(
        "fedrecgel", duplicates="keep", ties="lowest_item", validation_item=False, selection_on="test"
    ),
    "legacy-negatives": Protocol("legacy-negatives", negatives_avoid="all"),
    "temporal": Protocol("temporal", cut=0.8),
}


def protocol_named(name: str, overrides: ProtocolOverrides | None = None) -> Protocol:
    """Return the preset ``name`` with the given parts replaced.

    Raises:
        InputError: For an unknown name, an unknown choice, or parts that contradict each other.

    Example:
        >>> protocol_named("fair", ProtocolOverrides(ties="lowest_item")).label
        'fair (ties=lowest_item)'
    """
    if name not in PRESETS:
        raise InputError(f"Unknown protocol {name!r}; expected one of {', '.join(PRESETS)}.")
    chosen = {part: value for part, value in asdict(overrides or ProtocolOverrides()).items() if value is not None}
    for part, value in chosen.items():
        _check_part(part, value)
    return replace(PRESETS[name], **chosen)


def _check_part(part: str, value: object) -> None:
    """Reject a value that is not of the part's type, as the command line's parser would."""
    hint = get_type_hints(Protocol)[part]
    hint = float if hint == Share else hint
    choices = get_args(hint)
    if choices and value not in choices:
        raise InputError(f"overrides.{part} is {value!r}; expected one of {', '.join(map(repr, choices))}.")
    if not choices and type(value) is not hint:
        raise InputError(f"overrides.{part} is {value!r}; expected {hint.__name__}.")
