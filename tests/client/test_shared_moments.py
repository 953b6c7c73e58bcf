"""``SharedMoments``: kept from the end of a round, forgotten where a round was cut off."""

from __future__ import annotations

import pytest
import torch

from fedrec.client import LocalTraining
from fedrec.client.optimizer import OptimizerState
from fedrec.client.shared_moments import SharedMoments
from fedrec.client.stores.store import Copy
from fedrec.errors import InputError
from fedrec.exchange import Broadcast
from tests.small import like, normal

BROADCAST = Broadcast(0, {}, {})


def store() -> SharedMoments:
    made = SharedMoments("adam")
    made.initialise(7, {"e": normal(0, 5, 2)}, {"w": normal(1, 3, 2), "b": normal(2)})
    return made


def handed_in(kept: SharedMoments, seed: int) -> Copy:
    state = OptimizerState(like(kept.state().moments | {"u.mean": normal(3, 7)}, seed), torch.tensor([seed]))
    nobody = torch.zeros(0, 0, dtype=torch.int64)
    return Copy(nobody, nobody.sum(1), kept.handed_in(state), {})


def test_a_state_is_kept_from_the_end_of_its_round() -> None:
    kept, clients = store(), torch.tensor([4, 1])
    shapes = {name: tuple(value.shape) for name, value in kept.state().moments.items()}
    assert shapes == {f"{n}.{m}": s for n, s in {"e": (5, 2), "w": (3, 2), "b": ()}.items() for m in ("mean", "square")}
    assert not any(value.any() for value in kept.state().moments.values())
    copy = handed_in(kept, 5)
    kept.write(clients, copy)
    assert not kept.state().steps.any()
    kept.end_round(BROADCAST)
    assert kept.state().steps.tolist() == [5]
    assert all(torch.equal(kept.get_buffer(name), value) for name, value in copy.dense.items())
    kept.write(clients, handed_in(kept, 9))
    kept.begin_round()  # that round was cut off
    kept.end_round(BROADCAST)
    assert kept.state().steps.tolist() == [5]


def test_it_is_saved_and_counted() -> None:
    kept, other = store(), store()
    kept.write(torch.tensor([4]), handed_in(kept, 5))
    kept.end_round(BROADCAST)
    other.load_state_dict(kept.state_dict())
    assert all(torch.equal(other.state().moments[n], value) for n, value in kept.state().moments.items())
    assert kept.num_bytes() == 8 * (2 * (10 + 6 + 1) + 1)
    assert kept.tables(BROADCAST.tables) is BROADCAST.tables  # clients read the server's


def test_it_is_no_option_of_local_training() -> None:
    with pytest.raises(InputError, match=r"model\.client\.store=SharedMoments"):
        LocalTraining(store=SharedMoments("adam"))
