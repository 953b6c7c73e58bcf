"""FedLESAM: the perturbation is the last step of the server, so that a step takes one pass.

Source: Fan et al., *Locally Estimated Global Perturbations are Better than Local Perturbations for Federated
Sharpness-aware Minimization*, ICML 2024, arXiv:2405.18890. With U the server's last step, ``eps = -rho U / ||U||``: up
the gradient of the whole federation, as far as it is known. In the first round there is no U, and nothing is moved.

Deviations: U is cut down to what a client's step reads, dense parameters and the rows of its items, and the norm is
that of this part. It is what the server sends (``sends: LastUpdate``, counted among the bytes), not what a client
received before minus what it receives, which is old where clients rarely take part. The published code shifts each
tensor by one number, an index taken wrongly; this is the rule of the paper. The private side is not moved, and takes
its gradient at the point moved on the shared side, as there is no other pass: the loss that is logged is the one there,
the sharpness 0.
"""

from __future__ import annotations

import torch

from fedrec.client.ascent import Direction, RadiusScale
from fedrec.client.part import Gradients, Part, norm
from fedrec.client.sam import Perturbation, Radii, Request, Side, StepGradients
from fedrec.errors import InputError


class FedLESAM(Perturbation):
    """SAM on the shared side against the server's last step, in one pass; rho 0 is no perturbation, bit for bit.

    Args:
        scales: By what the radius is multiplied; null: nothing.
    """

    def __init__(self, scales: list[RadiusScale] | None = None) -> None:
        super().__init__(scales=scales)

    def check(self, radii: Radii) -> None:
        """See base class."""
        if radii.private:
            raise InputError(
                f"model.client.rho_private={radii.private}: perturbation=FedLESAM knows the server's last step alone, "
                "which has no private side; expected 0"
            )

    def gradients(self, request: Request) -> StepGradients:
        """See base class."""
        point = request.point
        if request.radii.shared:
            point = Side.SHARED.moved(point, self._uphill(request), request, self.scales)
        found: Gradients = request.objective(point, request.uploads, request.private)
        return StepGradients(found, found, found)

    @staticmethod
    def _uphill(request: Request) -> Direction:
        context, shared = request.context, request.point.shared
        clients = len(context.bucket.clients)
        dense = {name: -context.extra(f"last_update.{name}") for name in shared.dense}
        rows = {name: -context.extra(f"last_update.{name}") * context.real for name in shared.rows}
        of_dense = torch.stack(torch._foreach_norm(list(dense.values()))).norm() if dense else torch.zeros(())
        length = torch.hypot(norm(list(rows.values())), of_dense)
        length = length * context.real.any(1)[:, 0]  # who has no such step rests, and is not moved
        along = Part({name: value.expand(clients, *value.shape) for name, value in dense.items()}, rows)
        return Direction(along, length, length)
