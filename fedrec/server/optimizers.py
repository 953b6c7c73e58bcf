"""The server's optimisers: torch's where it has them, and Yogi.

Source: Reddi et al., *Adaptive Federated Optimization* (FedOpt), ICLR 2021, arXiv:2003.00295, algorithm 2. With the
mean upload D for a gradient, FedAdagrad is ``v <- v + D^2, theta <- theta - lr D / (sqrt(v) + tau)``, v beginning at
tau^2 (beta_1 = 0, as in their experiments); FedAdam and FedYogi have a mean of D in place of D, and a mean of D^2 in
place of the sum. Theirs: beta_2 = 0.99, tau = 1e-3, no correction of the means' bias. Deviation: ``adam`` is torch's
(Kingma & Ba, arXiv:1412.6980), which corrects the bias, begins at v = 0 and adds eps to the corrected root; beta_2 =
0.999 and eps = 1e-8 unless given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from fedrec.errors import InputError

Kind = Literal["sgd", "adam", "adagrad", "yogi"]


@dataclass(frozen=True)
class OptimizerOptions:
    """The optimiser of the shared parameters, dense over all of them, item tables included.

    Args:
        kind: ``sgd``, ``adam``, ``adagrad`` or ``yogi``.
        lr: Learning rate.
        momentum: Factor beta of ``v <- beta v + direction``, along which SGD steps; 0: none.
        betas: Factors of the means of D and D^2; null: 0.9 and 0.999 of adam, 0.9 and 0.99 of yogi.
        eps: What is added to the root; null: 1e-8 of adam, 1e-3 of adagrad and yogi, whose v begins at its square.
        weight_decay: Before every step tables and matrices are multiplied by ``1 - lr weight_decay``, see
            :func:`decay`.

    Raises:
        InputError: If an option is outside its range, or not one of this optimiser.
    """

    kind: Kind = "adam"
    lr: float = 0.001
    momentum: float = 0.0
    betas: tuple[float, float] | None = None
    eps: float | None = None
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.lr < float("inf"):
            raise InputError(f"model.server.lr={self.lr}: a learning rate is a finite number above 0")
        if not 0 <= self.momentum < 1:
            raise InputError(f"model.server.momentum={self.momentum}: expected a number from 0 to below 1")
        if self.momentum and self.kind != "sgd":
            own = "no momentum" if self.kind == "adagrad" else "moments of its own"
            raise InputError(f"model.server.momentum: needs optimizer=sgd; {self.kind} has {own}")
        if self.betas is not None and self.kind not in ("adam", "yogi"):
            raise InputError(f"model.server.betas: {self.kind} has none; expected null, or optimizer adam or yogi")
        if self.betas is not None and not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"model.server.betas={list(self.betas)}: expected two numbers from 0 to below 1")
        if self.eps is not None and self.kind == "sgd":
            raise InputError("model.server.eps: sgd has none; expected null, or optimizer adam, adagrad or yogi")
        if self.eps is not None and not 0 < self.eps < float("inf"):
            raise InputError(f"model.server.eps={self.eps}: expected a finite number above 0")
        if not 0 <= self.weight_decay * self.lr < 1:
            raise InputError(
                f"model.server.weight_decay={self.weight_decay}: every round takes lr times as much off the weights; "
                f"expected a number from 0 to below 1 / lr, {1 / self.lr:g}"
            )

    def make(self, parameters: Iterable[Tensor] | Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimiser of these parameters, or of groups of them with options of their own."""
        if self.kind == "sgd":
            return torch.optim.SGD(parameters, lr=self.lr, momentum=self.momentum)
        if self.kind == "adam":
            betas, eps = self.betas or (0.9, 0.999), 1e-8 if self.eps is None else self.eps
            return torch.optim.Adam(parameters, lr=self.lr, betas=betas, eps=eps, fused=True)
        tau = 1e-3 if self.eps is None else self.eps
        if self.kind == "adagrad":
            return torch.optim.Adagrad(parameters, lr=self.lr, eps=tau, initial_accumulator_value=tau**2)
        return Yogi(parameters, lr=self.lr, betas=self.betas or (0.9, 0.99), eps=tau)


@torch.no_grad()
def decay(parameters: Iterable[tuple[str, Tensor]], shrink: float) -> None:
    """Shrink item tables and matrices, ``theta <- (1 - shrink) theta``, whatever the optimiser makes of the gradient.

    Decoupled weight decay (Loshchilov, Hutter, ICLR 2019, arXiv:1711.05101), which under Adam draws rarely trained item
    rows to 0 as slowly as all others. What is called a bias stays, vectors and numbers too, so that of a network the
    weights of its one output stay.

    Args:
        parameters: Shared parameters by name.
        shrink: Learning rate times weight decay.
    """
    weights = [value for name, value in parameters if value.dim() > 1 and "bias" not in name]
    if shrink and weights:
        torch._foreach_mul_(weights, 1 - shrink)


class Yogi(torch.optim.Optimizer):
    """``theta <- theta - lr m / (sqrt(v) + eps)``, where v moves by a share of D^2 alone, however large it is.

    With D for the gradient ``m <- beta_1 m + (1 - beta_1) D`` and ``v <- v - (1 - beta_2) D^2 sign(v - D^2)`` (Zaheer
    et al., *Adaptive Methods for Nonconvex Optimization*, NeurIPS 2018; as FedYogi in arXiv:2003.00295).

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        betas: beta_1 and beta_2.
        eps: What is added to the root (their tau); v begins at its square.
    """

    def __init__(self, params: Any, lr: float, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-3) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step along the parameters' gradients; parameters without one stay."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            (beta1, beta2), eps = group["betas"], group["eps"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient, state = parameter.grad, self.state[parameter]
                if not state:
                    state["mean"] = torch.zeros_like(parameter)
                    state["square"] = torch.full_like(parameter, eps**2)
                mean, square = state["mean"].lerp_(gradient, 1 - beta1), gradient.square()
                state["square"].addcmul_(square, (state["square"] - square).sign_(), value=beta2 - 1)
                parameter.addcdiv_(mean, state["square"].sqrt().add_(eps), value=-group["lr"])
        return loss
