"""Low ratings from the file to the recommendations: split, candidates, full ranking and predictions agree."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from fedrec.data.datamodule import InteractionFile
from fedrec.data.protocol.heldout import HeldOut
from fedrec.data.protocol.presets import ProtocolOverrides
from fedrec.data.reading.layout import Layout
from tests import small_runs

ITEMS = 60


@pytest.fixture
def stars(tmp_path: Path) -> Path:
    """24 users rate 14 of 60 items; of these one was first liked and later not, one the other way round."""
    rng = np.random.default_rng(1)
    lines = ["user,item,stars,when"]
    for user in range(24):
        own = (user * 5 + rng.permutation(20)[:14]) % ITEMS
        lines += [f"{user},{item},{4 + step % 2},{100 + step}" for step, item in enumerate(own)]
        lines += [f"{user},{own[0]},1,500", f"{user},{own[1]},1,50"]
    path = tmp_path / "stars.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def fell_and_rose(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """By user: the item that was last rated low, and the one that was rated low at first."""
    with path.open(encoding="utf-8") as file:
        low = [row for row in csv.DictReader(file) if row["stars"] == "1"]
    return ({row["user"]: row["item"] for row in low if row["when"] == when} for when in ("500", "50"))  # type: ignore[return-value]


@pytest.mark.parametrize("fate", ["ignored", "touched"])
def test_split_candidates_and_full_ranking_agree(fate: str, stars: Path) -> None:
    layout = Layout("user", "item", "when", rating="stars", minimum_rating=4, low_ratings=fate)  # type: ignore[arg-type]
    data = InteractionFile(path=str(stars), layout=layout, overrides=ProtocolOverrides(candidates=10))
    data.setup("fit")
    fell, rose = fell_and_rose(stars)
    test, cut = HeldOut.of(data.split, "test"), data.split
    for user, name in enumerate(cut.user_ids.tolist()):
        place = {str(raw): item for item, raw in enumerate(cut.item_ids.tolist())}
        gone, liked = place.get(fell[str(name)]), place[rose[str(name)]]
        assert cut.touched.contain(np.array([user]), np.array([liked])).all()
        if gone is None:
            continue
        own = {*cut.train_item[cut.train_user == user].tolist(), int(cut.test[user]), int(cut.validation[user])}
        seen = test.seen_items[test.seen_indptr[user] : test.seen_indptr[user + 1]].tolist()
        assert gone not in own
        assert (gone in seen) == (fate == "touched")
        if fate == "touched":
            assert gone not in test.candidates[user].tolist()


@pytest.mark.parametrize("fate", ["ignored", "touched"])
def test_what_is_recommended_agrees(fate: str, stars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [f"--data.path={stars}", "--data.layout.rating=stars", "--data.layout.minimum_rating=4"]
    options += [f"--data.layout.low_ratings={fate}", "--data.layout.time=when", "--data.overrides.candidates=10"]
    configurations = ["--config=data/file.yaml", "--config=method/fedncf.yaml"]
    model = ["--model.recommender.embedding_dim=4", "--data.client_fraction=0.5"]
    trainer = ["--trainer.max_epochs=1", f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=false"]
    small_runs.call(["fit", *configurations, *options, *model, *trainer])
    assert "filter    keep a rating of 4 or more: takes 24 rows" in capsys.readouterr().out
    (run,) = (tmp_path / "runs").iterdir()
    top = tmp_path / "top.csv"
    small_runs.call(["predict", f"--resume={run}", f"--recommend.output={top}", f"--recommend.top_k={ITEMS}"])
    with top.open(encoding="utf-8") as file:
        found = {(row["user"], row["item"]) for row in csv.DictReader(file)}
    fell, rose = fell_and_rose(stars)
    assert not found & set(rose.items())  # they are trained on
    assert found & set(fell.items()) == (set(fell.items()) if fate == "ignored" else set())
