"""The loss of a trained model as a plain function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from fedrec.__main__ import main
from fedrec.analysis.sharpness import Position, ball_sharpness, largest_eigenvalue
from fedrec.analysis.trained import landscapes, load_position, mean_loss, sharpness_table
from fedrec.data.cohort import Cohort
from fedrec.errors import InputError
from fedrec.models import NCF, PFedRec
from fedrec.models.recommender import Recommender

USERS, ITEMS = 4, 7


def cohort() -> Cohort:
    """Clients 1 and 3 with 3 and 200 examples, so that the second has several loss blocks and repeated pairs."""
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(ITEMS, (203,), generator=generator)
    labels = torch.randint(2, (203,), generator=generator).float()
    return Cohort(0, 0, torch.tensor([1, 3]), torch.tensor([0, 3, 203]), items[None], labels)


def parameters(recommender: Recommender) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    drawn = [recommender.initial_shared(ITEMS, generator), recommender.initial_private(2, generator)]
    shared, private = (
        {n: torch.randn(v.shape, generator=generator, dtype=torch.float64) for n, v in values.items()}
        for values in drawn
    )
    return shared, private


@pytest.mark.parametrize("recommender", [NCF(2, 2), PFedRec(3)])
def test_mean_loss_is_the_mean_over_clients_of_their_mean_cross_entropy(recommender: Recommender) -> None:
    examples, (shared, private) = cohort(), parameters(recommender)
    losses = []
    for client, part in enumerate((slice(0, 3), slice(3, 203))):
        rows = {name: shared[name][examples.items[0, part]][None] for name in recommender.item_tables}
        logits = recommender.forward(
            shared | rows, {name: value[client : client + 1] for name, value in private.items()}
        )
        losses.append(binary_cross_entropy_with_logits(logits[0], examples.labels[part].double()))
    found = mean_loss(recommender, examples, torch.float64)(shared, private)
    assert float(found) == pytest.approx(float(sum(losses)) / 2, rel=1e-12)


@pytest.mark.parametrize("recommender", [NCF(2, 2), PFedRec(3)])
@pytest.mark.parametrize("side", ["shared", "private"])
def test_curvature_is_the_change_of_the_gradient(recommender: Recommender, side: str) -> None:
    shared, private = parameters(recommender)
    position = Position(mean_loss(recommender, cohort(), torch.float64), shared, private, side)  # type: ignore[arg-type]
    direction, step = position.unit(position.random(0, 0)), 1e-6
    ahead, behind = (position.gradient(position.moved(direction, sign * step)) for sign in (1, -1))
    for name, value in position.curvature(direction).items():
        np.testing.assert_allclose(value, (ahead[name] - behind[name]) / (2 * step), atol=1e-6)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    arguments = ["--config", "data/synthetic.yaml", "--config", "method/fedrecgel.yaml", "--trainer.max_epochs=2"]
    arguments += ["--data.plan.users=60", "--data.plan.items=400", "--data.plan.rows=2000"]
    arguments += ["--model.recommender.embedding_dim=4", "--trainer.logger=false", f"--trainer.default_root_dir={root}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_RUN_ID", "short")
        assert main(["fit", *arguments]) == 0
    return root / "runs" / "short"


def test_the_position_of_a_run_is_its_checkpoint(run: Path) -> None:
    position = load_position(run, "shared", "last", clients=10)
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(position.shared["item_gmf"], state["server.shared.item_gmf"])
    assert position.clients == 1
    private = load_position(run, "private", "last", clients=10)
    assert private.clients == 10
    assert all((row == state["private.user_gmf"]).all(1).any() for row in private.private["user_gmf"])
    assert float(position.at(position.values)) == float(private.at(private.values))
    assert 0 < float(position.at(position.values)) < 1


def test_sharpness_of_a_run(run: Path) -> None:
    position = load_position(run, "private", clients=10, dtype=torch.float64)
    assert largest_eigenvalue(position, iterations=20).shape == (10,)
    assert ball_sharpness(position, 0.1) > 0


def test_tables_over_models(run: Path) -> None:
    table = sharpness_table({"one": run}, rho=0.2, iterations=3, clients=5)
    assert table[["model", "side"]].to_numpy().tolist() == [["one", "shared"], ["one", "private"]]
    assert (table["rise of the loss within 0.2"] > 0).all()
    found = landscapes({"one": run}, "private", resolution=3, clients=5)["one"]
    assert found.side == "private"
    assert found.loss.shape == (3, 3)


def test_a_run_of_foreign_classes_is_refused(run: Path, tmp_path: Path) -> None:
    text = (run / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("fedrec.models.NCF", "os.system"))
    with pytest.raises(InputError, match=r"names os\.system, which is not fedrec's"):
        load_position(tmp_path, "shared")
    with pytest.raises(InputError, match="not a run folder"):
        load_position(tmp_path / "absent", "shared")
