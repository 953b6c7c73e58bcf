"""What every recommender must do. A test class inherits this and says how one logit is computed, in plain words."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.stores import OwnCopy
from fedrec.exchange import OneTable
from fedrec.models.linear import OuterProducts, ShiftedWeight, Weight, as_dense
from fedrec.models.products import ROUNDING, bfloat16_products
from fedrec.models.recommender import Params, Recommender
from tests.small import federation, generator, like, normal, random_cohort, snapshot

CLIENTS, ROWS, ITEMS = 3, 5, 7
EXACT = {"rtol": 1e-10, "atol": 1e-12}


class RecommenderContract:
    """Give a ``recommender`` and :meth:`logit`."""

    recommender: Recommender
    multiplies_matrices = True  # else number by number, where nothing is rounded

    def logit(self, shared: Params, private: Params, item: int) -> float:
        """The score of one item for one client: tables ``[I, D]`` on both sides, no client axis anywhere."""
        raise NotImplementedError

    # ------------------------------------------------------------------ a random problem, in float64

    def parameters(self, seed: int = 0) -> tuple[Params, Params]:
        """Shared parameters and the private ones of all clients, of order one so that every term matters."""
        shared = self.recommender.initial_shared(ITEMS, generator(seed))
        private = self.recommender.initial_private(CLIENTS, generator(seed))
        tables = self.recommender.initial_private_tables(ITEMS, generator(seed))
        private |= {name: table.expand(CLIENTS, -1, -1) for name, table in tables.items()}
        return like(shared, seed), like(private, seed + 100)

    def own(self, private: Params, items: Tensor) -> Params:
        """Private parameters as :meth:`forward` takes them: rows of the private tables gathered."""
        clients = torch.arange(CLIENTS)[:, None]
        tables = self.recommender.private_tables
        return {name: value[clients, items] if name in tables else value for name, value in private.items()}

    def dense(self, shared: Params) -> Params:
        return {name: shared[name] for name in self.recommender.dense_dims}

    def rows(self, shared: Params, items: Tensor) -> Params:
        return {name: shared[name][items] for name in self.recommender.item_tables}

    def own_weights(self, shared: Params) -> Params:
        """Dense weights that differ from client to client."""
        return {n: w + 0.3 * normal(k, CLIENTS, *w.shape) for k, (n, w) in enumerate(self.dense(shared).items())}

    @staticmethod
    def items() -> Tensor:
        return torch.randint(ITEMS, (CLIENTS, ROWS), generator=generator(7))

    # ------------------------------------------------------------------ shapes and initial values

    def test_every_shared_parameter_is_a_table_or_dense(self) -> None:
        shared = self.recommender.initial_shared(ITEMS, generator(0))
        assert set(shared) == {*self.recommender.item_tables, *self.recommender.dense_dims}
        assert {name: shared[name].dim() for name in self.recommender.dense_dims} == dict(self.recommender.dense_dims)
        assert {(shared[name].dim(), len(shared[name])) for name in self.recommender.item_tables} == {(2, ITEMS)}
        assert all(value.is_floating_point() and bool(value.isfinite().all()) for value in shared.values())

    def test_initial_values_follow_the_generator_alone(self) -> None:
        model = self.recommender
        for make in (model.initial_shared, model.initial_private, model.initial_private_tables):
            first, again, other = (make(ITEMS, generator(seed)) for seed in (1, 1, 2))
            assert all(torch.equal(first[name], again[name]) for name in first)
            assert not first or any(not torch.equal(first[name], other[name]) for name in first)

    def test_private_parameters_have_a_row_per_client(self) -> None:
        private = self.recommender.initial_private(CLIENTS, generator(0))
        assert all(len(value) == CLIENTS for value in private.values())
        tables = self.recommender.initial_private_tables(ITEMS, generator(0))
        assert set(tables) == set(self.recommender.private_tables)
        assert all(value.dim() == 2 and len(value) == ITEMS for value in tables.values())
        assert not set(private) & set(tables)
        assert not set(private) & set(self.recommender.initial_shared(ITEMS, generator(0)))

    def test_working_memory_of_a_row_is_counted(self) -> None:
        row, client = self.recommender.working_floats()
        # A row needs its item rows and at least as many numbers for their gradients.
        shared = self.recommender.initial_shared(ITEMS, generator(0))
        assert row >= 2 * sum(shared[name].shape[1] for name in self.recommender.item_tables)
        assert client >= sum(shared[name].numel() for name, dims in self.recommender.dense_dims.items() if dims == 2)

    # ------------------------------------------------------------------ scores

    def expected(self, shared: Params, private: Params, items: Tensor) -> Tensor:
        """Scores, one client and one item after another."""
        return torch.tensor(
            [
                [self.logit(shared, {n: v[u] for n, v in private.items()}, i) for i in row]
                for u, row in enumerate(items.tolist())
            ],
            dtype=torch.float64,
        )

    def test_scores_equal_the_per_client_reference(self) -> None:
        shared, private = self.parameters()
        items = self.items()
        found = self.recommender.forward(self.dense(shared) | self.rows(shared, items), self.own(private, items))
        assert_close(found, self.expected(shared, private, items), **EXACT)

    def test_scores_from_what_is_computed_once_per_item(self) -> None:
        shared, private = self.parameters()
        items, tables = self.items(), self.recommender.score_tables(shared)
        found = self.recommender.forward(shared | {n: t[items] for n, t in tables.items()}, self.own(private, items))
        assert_close(found, self.expected(shared, private, items), **EXACT)

    def test_scores_of_the_same_items_for_all_clients(self) -> None:
        shared, private = self.parameters()
        items, tables = torch.arange(ITEMS)[None], self.recommender.score_tables(shared)
        found = self.recommender.forward(shared | {n: t[items] for n, t in tables.items()}, self.own(private, items))
        expected = self.expected(shared, private, items.expand(CLIENTS, -1))
        assert_close(found.expand(CLIENTS, -1), expected, **EXACT)  # one row will do where nothing is private

    def test_scores_with_weights_of_each_client(self) -> None:
        shared, private = self.parameters()
        items, own = self.items(), self.own_weights(shared)
        found = self.recommender.forward(own | self.rows(shared, items), self.own(private, items))
        for u in range(CLIENTS):
            theirs = shared | {name: value[u] for name, value in own.items()}
            assert_close(
                found[u], self.expected(theirs, {n: v[u : u + 1] for n, v in private.items()}, items[u : u + 1])[0]
            )

    # ------------------------------------------------------------------ the backward pass

    def weights(self, kind: str, shared: Params) -> tuple[dict[str, Weight], Params]:
        """Dense weights as production gives them, and the same as one tensor per client or for all."""
        dense = self.dense(shared)
        if kind == "shared":
            return dict(dense), dense
        own = self.own_weights(shared)
        if kind == "own":
            return dict(own), own
        given, plain = dict[str, Weight](own), dict(own)
        for k, (name, weight) in enumerate(dense.items()):
            if weight.dim() == 2:  # a matrix may come with a shift of low rank, over one weight or over each client's
                left, right = (normal(50 + 2 * k + side, CLIENTS, 2, size) for side, size in enumerate(weight.shape))
                base = weight if k % 2 else own[name]
                given[name] = ShiftedWeight(base, OuterProducts(left, right))
                plain[name] = base + torch.einsum("bro,bri->boi", left, right)
        return given, plain

    @pytest.mark.parametrize(
        ("uploads", "private_wanted"),
        [("summed", True), ("summed", False), ("per_client", True), ("per_client", False), (None, True)],
    )
    @pytest.mark.parametrize("kind", ["shared", "own", "shifted"])
    def test_vjp_is_autograds(self, kind: str, uploads: Any, private_wanted: bool) -> None:
        shared, private = self.parameters()
        items, dlogits = self.items(), normal(9, CLIENTS, ROWS)
        given, plain = self.weights(kind, shared)
        rows, private = self.rows(shared, items), self.own(private, items)
        before = {name: value.clone() for name, value in (plain | rows | private).items()}
        logits, pullback = self.recommender.vjp({**given, **rows}, private)
        found_shared, found_private = pullback(dlogits.clone(), uploads, private_wanted)
        their_logits, their_pullback = Recommender.vjp(self.recommender, {**plain, **rows}, private)
        their_shared, their_private = their_pullback(dlogits, uploads, private_wanted)

        assert_close(logits, their_logits, **EXACT)
        assert set(found_shared) == set(their_shared) == (set(shared) if uploads else set())
        assert set(found_private) == set(their_private) == (set(private) if private_wanted else set())
        for name, expected in (their_shared | their_private).items():
            value = (found_shared | found_private)[name]
            assert_close(value.dense() if isinstance(value, OuterProducts) else value, expected, **EXACT)
        assert all(torch.equal(before[name], value) for name, value in (plain | rows | private).items())

    def test_vjp_with_item_features(self) -> None:
        shared, private = self.parameters()
        items, dlogits = self.items(), normal(9, CLIENTS, ROWS)
        features = {name: table[items] for name, table in self.recommender.item_features(shared).items()}
        point, private = self.dense(shared) | self.rows(shared, items), self.own(private, items)
        _, pullback = self.recommender.vjp(point | features, private)
        _, plain = Recommender.vjp(self.recommender, point, private)
        for found, expected in zip(
            pullback(dlogits.clone(), "summed", True), plain(dlogits, "summed", True), strict=True
        ):
            assert set(found) == set(expected)
            for name in expected:
                assert_close(found[name], expected[name], **EXACT)

    @pytest.mark.parametrize("uploads", ["summed", "per_client"])
    def test_bfloat16_products_are_off_by_the_rounding_of_their_factors(self, uploads: Any) -> None:
        """Where nothing is negative nothing cancels, and relative errors of factors multiply along a chain of products.

        A gradient is a chain of at most 2 (layers + 1) products, forward and back.
        """
        shared, private = ({n: v.abs() for n, v in values.items()} for values in self.parameters())
        items, dlogits = self.items(), normal(9, CLIENTS, ROWS).abs()
        point, own = self.dense(shared) | self.rows(shared, items), self.own(private, items)

        def found() -> Params:
            logits, pullback = self.recommender.vjp(point, own)
            of_shared, of_private = pullback(dlogits.clone(), uploads, True)
            return {"logits": logits} | {n: as_dense(value) for n, value in {**of_shared, **of_private}.items()}

        exact = found()
        with bfloat16_products():
            rounded = found()
        products = 2 * (getattr(self.recommender, "layers", 0) + 1)
        assert_close(rounded, exact, rtol=(1 + ROUNDING) ** (2 * products) - 1, atol=0)
        assert torch.equal(rounded["logits"], exact["logits"]) != self.multiplies_matrices
        assert all(value.dtype == torch.float64 for value in rounded.values())

    # ------------------------------------------------------------------ in a federation

    def test_a_round_changes_the_private_state_of_its_cohort_alone(self) -> None:
        client = LocalTraining(optimizer="sgd", lr=0.1, upload=DeltaUpload(lr=0.1), store=OwnCopy())
        module = federation(self.recommender, client, 5, ITEMS)
        users, items = torch.arange(5), torch.arange(ITEMS)[None]
        before = {name: module.private.get_buffer(name).clone() for name in [*module.private.names, "steps"]}
        module.training_step(random_cohort([1, 3], [6, 4], ITEMS), 0)
        for name, value in before.items():
            changed = (module.private.get_buffer(name) != value).reshape(5, -1).any(1)
            assert changed.tolist() == [False, True, False, True, False], name
        # Who has not taken part scores with the server's parameters, and private tables are as they were.
        served = {name: OneTable(module.server.shared[name].detach()) for name in self.recommender.item_tables}
        kept = module.private.kept.tables(served)
        initial = self.recommender.initial_private_tables(ITEMS, torch.Generator())
        for name in (*served, *initial):
            table = served[name] if name in served else OneTable(module.private.tables.get_buffer(f"initial_{name}"))
            own = (kept if name in served else module.private.tables.tables({}))[name].rows(users, items)
            same = (own == table.rows(users, items)).flatten(1).all(1)
            assert same.tolist() == [True, False, True, False, True], name

    def test_state_round_trip(self) -> None:
        client = LocalTraining(0.1, 0.1, optimizer="sgd", lr=0.1, upload=DeltaUpload(lr=0.1), store=OwnCopy())
        first, second = (federation(self.recommender, client, 5, ITEMS) for _ in range(2))
        first.training_step(random_cohort([0, 3], [6, 4], ITEMS), 0)
        file = io.BytesIO()
        torch.save(first.state_dict(), file)
        file.seek(0)
        second.load_state_dict(torch.load(file, weights_only=True))
        for module in (first, second):
            module.training_step(random_cohort([0, 2], [3, 4], ITEMS, number=1), 0)
        users, items = torch.arange(5), torch.arange(ITEMS)[None]
        assert torch.equal(first.scorer()(users, items), second.scorer()(users, items))
        mine, theirs = snapshot(first), snapshot(second)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
