"""Points and gradients of two sides of the same make: norms, and points that are moved."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from fedrec.client.objective import Objective
from fedrec.client.part import SMALL, Part, Values, norm
from fedrec.models import NCF
from fedrec.models.linear import OuterProducts, ShiftedWeight
from tests.client.test_objective import dense_of, problem
from tests.small import normal


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([1, 3, SMALL - 1, SMALL, SMALL + 5]), min_size=1, max_size=4), factors=st.booleans()
)
def test_norm_takes_all_gradients_together(sizes: list[int], factors: bool) -> None:
    dense = [normal(k, 2, size) for k, size in enumerate(sizes)] + [normal(8, 2), normal(9, 2, 3, 4)]
    outer = [OuterProducts(normal(10, 2, 3, 4), normal(11, 2, 3, 5))] if factors else []
    expected = torch.cat([g.reshape(2, -1) for g in [*dense, *(g.dense() for g in outer)]], 1).square().sum(1).sqrt()
    assert_close(norm([*dense, *outer]), expected)


def test_norm_of_a_side_takes_dense_parameters_and_rows_together() -> None:
    part = Part(
        {"w": OuterProducts(normal(0, 2, 3, 4), normal(1, 2, 3, 5)), "b": normal(2, 2)}, {"e": normal(3, 2, 6, 2)}
    )
    w = part.dense["w"].dense()  # type: ignore[union-attr]
    expected = torch.cat([w.flatten(1), part.dense["b"][:, None], part.rows["e"].flatten(1)], 1).norm(dim=1)  # type: ignore[index]
    assert_close(part.norm(), expected)
    assert float(Part({}, {}).norm()) == 0  # of nothing


def test_a_point_moves_on_one_side_by_each_clients_own_length() -> None:
    point, step = problem(NCF(16, 2), 3)
    gradients = Objective(NCF(16, 2), step, 100)(point, "per_client", private=True)
    there, scale = dense_of(gradients), torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64)
    there = {name: value.clone() for name, value in there.items()}
    assert any(isinstance(g, OuterProducts) for g in gradients.shared.dense.values())
    private = point.with_private(point.private.moved(gradients.private, scale, scale))
    assert private.shared is point.shared
    assert private.features is point.features
    shared = point.with_shared(point.shared.moved(gradients.shared, scale, scale))
    assert shared.private is point.private
    assert shared.features == {}  # they belong to the parameters that were moved away from
    for before, after in ((point.shared, shared.shared), (point.private, private.private)):
        for name, value in {**before.dense, **before.rows}.items():
            moved = {**after.dense, **after.rows}[name]
            if isinstance(moved, ShiftedWeight):
                moved = moved.weight + moved.shift.dense()
            expected = value + scale.view(-1, *(1,) * (there[name].dim() - 1)) * there[name]
            assert_close(moved, expected, rtol=1e-12, atol=1e-12)


def test_item_rows_move_on_either_side() -> None:
    # A side is a side: private item rows move as shared ones do, over the memory of their gradient.
    values, gradient = Values({"b": normal(0, 2)}, {"e": normal(1, 2, 3, 2)}), normal(2, 2, 3, 2)
    before, along = values.rows["e"].clone(), gradient.clone()
    scale, by_row = torch.tensor([2.0, -1.0], dtype=torch.float64), normal(4, 2, 3)
    moved = values.moved(Part({"b": normal(3, 2)}, {"e": gradient}), scale, by_row)
    assert_close(moved.rows["e"], before + by_row[..., None] * along)
    assert_close(moved.dense["b"], normal(0, 2) + scale * normal(3, 2))
    assert torch.equal(values.rows["e"], before)
    assert moved.rows["e"] is gradient
