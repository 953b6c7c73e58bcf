"""``LocalOnlyServer`` with clients that would forget, or with steps on the way, is refused."""

from __future__ import annotations

from typing import Any

import pytest

from fedrec.client import DeltaUpload, LocalTraining
from fedrec.client.start import FromOwn
from fedrec.client.stores import OwnCopy
from fedrec.errors import InputError
from fedrec.federation import FederatedRecommender
from fedrec.models import PFedRec
from fedrec.server import LocalOnlyServer
from tests.methods.halved import Halved


@pytest.mark.parametrize(
    ("client", "uploads"),
    [
        (LocalTraining(), []),
        (LocalTraining(upload=DeltaUpload(), store=OwnCopy()), []),
        (LocalTraining(upload=DeltaUpload(), store=OwnCopy(), start=FromOwn()), [Halved()]),
    ],
)
def test_clients_must_go_on_with_their_own_copies(client: LocalTraining, uploads: Any) -> None:
    with pytest.raises(InputError, match=r"model\.server=LocalOnlyServer: nothing travels.*start=FromOwn"):
        FederatedRecommender(PFedRec(4), client, LocalOnlyServer(), uploads=uploads)
