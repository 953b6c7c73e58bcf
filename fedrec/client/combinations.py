"""Which parts of local training go together; what does not is refused before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from fedrec.client.gradient_upload import GradientUpload
from fedrec.client.penalties import Penalty, Proximal
from fedrec.client.rates import Rates
from fedrec.client.sam import Joint, Perturbation, Radii, Separate
from fedrec.client.shared_side import UploadRule
from fedrec.client.start import FromOwn, Start
from fedrec.client.stores import Store
from fedrec.errors import InputError
from fedrec.models.recommender import Recommender


def check_names(recommender: Recommender, private_rates: Rates, shared_rates: Rates) -> None:
    """Refuse parameters whose names cannot be told apart, and rates of parameters that there are not.

    Raises:
        InputError: Naming the parameter.
    """
    generator, who = torch.Generator(), type(recommender).__name__
    shared = recommender.initial_shared(1, generator)
    dense = recommender.initial_private(1, generator)
    private = [*dense, *recommender.initial_private_tables(1, generator)]
    for name in [*shared, *private]:
        if not name.isidentifier():
            raise InputError(f"{who}: a parameter is called {name!r}; expected letters, digits and underscores")
    # Private parameters, their optimiser's moments and step counts stand side by side in a checkpoint.
    taken = {"steps", *(f"{name}_{moment}" for name in dense for moment in ("mean", "square"))}
    for name in private:
        if name in shared or name in taken or private.count(name) > 1:
            raise InputError(f"{who}: the private parameter {name} has a name that is taken; choose another")
    for option, rates, names in (
        ("model.client.rates", private_rates, private),
        ("model.client.upload.rates", shared_rates, list(shared)),
    ):
        for name in rates.factors.keys() - set(names):
            raise InputError(f"{option}: {who} has no such parameter as {name}; it has {', '.join(names) or 'none'}")


def check_order(perturbation: Perturbation, order: str) -> None:
    """Refuse a private step that comes first where both sides move to one point.

    Raises:
        InputError: Naming the two options.
    """
    if perturbation.joins and order == "private_first":
        name = type(perturbation).__name__
        raise InputError(f"model.client.perturbation={name} needs order=together: both sides move at one point")


def check_means(penalties: Sequence[Penalty], batch_size: int | None, loss_block: int) -> None:
    """Refuse penalties that are means over a batch where a batch is not one block of the loss.

    Raises:
        InputError: Naming the options.
    """
    for penalty in penalties:
        if penalty.is_mean and (batch_size is None or loss_block < batch_size):
            raise InputError(
                f"model.client.penalties: {type(penalty).__name__} is a mean over a batch's examples and needs batches "
                f"of one loss block; batch_size={batch_size}, loss_block={loss_block}, expected batch_size = loss_block"
            )


def check_pull(penalties: Sequence[Penalty], upload: UploadRule, perturbation: Perturbation, radii: Radii) -> None:
    """Refuse a proximal term where clients never leave what they received: it would be 0 in every step.

    Raises:
        InputError: Naming the options.
    """
    unmoved = isinstance(perturbation, Separate | Joint) and radii.shared == radii.private == 0
    still = type(upload) is GradientUpload and unmoved
    if still and any(isinstance(penalty, Proximal) and penalty.mu for penalty in penalties):
        raise InputError(
            "model.client.penalties: Proximal pulls to what the server sent, and with upload=GradientUpload and both "
            "radii 0 nothing moves away from it; expected upload=DeltaUpload, a radius above 0, or no Proximal"
        )


def check_radii(radii: Radii) -> None:
    """Refuse radii that are none.

    Raises:
        InputError: Naming the option.
    """
    for name, value in {"rho_shared": radii.shared, "rho_private": radii.private}.items():
        if not 0 <= value < float("inf"):
            raise InputError(f"model.client.{name}={value}: a radius is a finite number of at least 0")


def check_decays(values: Mapping[str, float], optimizer: str) -> None:
    """Refuse decay and tolerance that are negative or endless, and decay under an optimiser that does not carry it.

    Raises:
        InputError: Naming the option.
    """
    for name, value in values.items():
        if not 0 <= value < float("inf"):
            raise InputError(f"model.client.{name}={value}: expected a finite number of at least 0")
    if values["weight_decay"] and optimizer != "sgd":
        raise InputError("model.client.weight_decay: needs optimizer=sgd, whose decay one scalar can carry")


def check_private_tables(recommender: Recommender, optimizer: str, given: Store | None) -> None:
    """Refuse an optimiser that does not move private item tables, and a store for them where there are none.

    Raises:
        InputError: Naming the option.
    """
    if recommender.private_tables and optimizer != "sgd":
        name = type(recommender).__name__
        raise InputError(f"model.client.optimizer={optimizer}: the private tables of {name} move with sgd")
    if given is not None and not recommender.private_tables:
        raise InputError(
            f"model.client.table_store={type(given).__name__}: expected null, {type(recommender).__name__} has no "
            "private item tables"
        )


def check_what_is_kept(upload: UploadRule, start: Start, store: Store, table_store: Store) -> None:
    """Refuse stores that cannot hold what clients would hand in, and starts from what nobody keeps.

    Raises:
        InputError: Naming the options.
    """
    kept, sent = type(store).__name__, type(upload).__name__
    if not store.holds_shared:
        raise InputError(f"model.client.store={kept}: is none for shared parameters; expected TunedRows")
    if store.needs_copy and not upload.moves:
        raise InputError(
            f"model.client.store={kept} keeps what clients moved; upload={sent} moves nothing, DeltaUpload does"
        )
    if upload.whole and store.needs_copy and not store.whole:
        raise InputError(f"model.client.store={kept}: upload={sent} moves whole item tables; expected FullTables")
    if isinstance(start, FromOwn) and not store.needs_copy:
        raise InputError("model.client.start=FromOwn: clients keep nothing to start from; expected store=OwnCopy")
    if upload.decays and store.needs_copy and not store.scales:
        raise InputError(
            f"model.client.upload.weight_decay: all rows of a client's table shrink, which store={kept} does not hold; "
            "expected FullTables"
        )
    if upload.decays and isinstance(start, FromOwn):
        raise InputError(
            "model.client.upload.weight_decay: what shrinks is told to the server by one number for its own table; "
            "with start=FromOwn clients start from other tables"
        )
    if not table_store.holds_private:
        name = type(table_store).__name__
        raise InputError(f"model.client.table_store={name}: holds no private tables; DecayedRows and FullTables do")
