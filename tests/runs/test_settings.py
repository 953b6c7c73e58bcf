"""Settings by flat dotted keys."""

from __future__ import annotations

from fedrec.runs.identity import differing_settings
from fedrec.runs.settings import flat_settings

CONFIG = {"model": {"recommender": {"class_path": "fedrec.models.NCF", "init_args": {"layers": 2}}, "privacy": None}}


def test_classes_are_named_and_arguments_stand_below_them() -> None:
    assert flat_settings(CONFIG) == {"model.recommender": "NCF", "model.recommender.layers": 2, "model.privacy": None}


def test_what_is_null_is_as_if_it_were_not_there() -> None:
    """A checkpoint from before an option existed goes on where the option is left out."""
    before = {"model": {"recommender": CONFIG["model"]["recommender"]}}
    assert not differing_settings({"settings": flat_settings(before)}, CONFIG)
    private = {"model": CONFIG["model"] | {"privacy": {"class_path": "fedrec.uploads.UserLevelPrivacy"}}}
    assert differing_settings({"settings": flat_settings(private)}, CONFIG) == {
        "model.privacy": ["UserLevelPrivacy", None]
    }
