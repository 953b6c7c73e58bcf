"""``SharedMoments``: the state of an optimiser of the shared parameters that goes on from round to round."""

from __future__ import annotations

from torch import Tensor

from fedrec.client.optimizer import Kind, OptimizerState
from fedrec.client.stores.nothing import Nothing
from fedrec.client.stores.store import Copy
from fedrec.exchange import Broadcast
from fedrec.models.recommender import Params


class SharedMoments(Nothing):
    """One state for all clients, which nobody scores with: moments of shared parameters, and how many steps were taken.

    Args:
        kind: The optimiser.
    """

    holds_shared = False  # it goes with central training alone

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.names: dict[str, str] = {}  # of the buffers, by moment
        self._new: Params = {}

    def initialise(self, num_users: int, tables: Params, dense: Params) -> None:
        """See base class."""
        state = OptimizerState.initial(self.kind, tables | dense, 1)
        self.names = {name: name.replace(".", "_") for name in state.moments}  # a buffer's name may have no dots
        for name, value in state.moments.items():
            self.register_buffer(self.names[name], value)
        self.register_buffer("steps", state.steps)

    def state(self) -> OptimizerState:
        """The state as the last round left it; its memory is the store's."""
        return OptimizerState({n: self.get_buffer(own) for n, own in self.names.items()}, self.get_buffer("steps"))

    def handed_in(self, state: OptimizerState) -> Params:
        """What :meth:`write` takes, as the dense part of a copy, of a state in which there may be more moments."""
        return {own: state.moments[name] for name, own in self.names.items()} | {"steps": state.steps}

    def begin_round(self) -> None:
        """See base class."""
        self._new = {}

    def write(self, clients: Tensor, copy: Copy) -> None:
        """Take a state that :meth:`handed_in` made."""
        self._new = copy.dense

    def end_round(self, broadcast: Broadcast) -> None:
        """See base class."""
        for name, value in self._new.items():
            self.get_buffer(name).copy_(value)
        self._new = {}
