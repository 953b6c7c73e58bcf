"""Which parts of local training go together; what does not is refused before anything is read."""

from __future__ import annotations

from fedrec.client.delta_upload import DeltaUpload
from fedrec.client.sam import Perturbation
from fedrec.client.shared_side import UploadRule
from fedrec.client.start import FromOwn, Start
from fedrec.client.stores import Store
from fedrec.errors import InputError


def check_order(perturbation: Perturbation, order: str) -> None:
    """Refuse a private step that comes first where both sides move to one point.

    Raises:
        InputError: Naming the two options.
    """
    if perturbation.joins and order == "private_first":
        name = type(perturbation).__name__
        raise InputError(f"model.client.perturbation={name} needs order=together: both sides move at one point")


def check_what_is_kept(upload: UploadRule, start: Start, store: Store, table_store: Store) -> None:
    """Refuse stores that cannot hold what clients would hand in, and starts from what nobody keeps.

    Raises:
        InputError: Naming the options.
    """
    kept, sent = type(store).__name__, type(upload).__name__
    if not store.holds_shared:
        raise InputError(f"model.client.store={kept}: keeps private tables, as table_store; expected TunedRows")
    if store.needs_copy and not upload.moves:
        raise InputError(
            f"model.client.store={kept} keeps what clients moved; upload={sent} moves nothing, DeltaUpload does"
        )
    if isinstance(start, FromOwn) and not store.needs_copy:
        raise InputError("model.client.start=FromOwn: clients keep nothing to start from; expected store=OwnCopy")
    decays = isinstance(upload, DeltaUpload) and upload.weight_decay > 0
    if decays and store.needs_copy and not store.scales:
        raise InputError(
            f"model.client.upload.weight_decay: all rows of a client's table shrink, which store={kept} does not hold; "
            "expected FullTables"
        )
    if decays and isinstance(start, FromOwn):
        raise InputError(
            "model.client.upload.weight_decay: what shrinks is told to the server by one number for its own table; "
            "with start=FromOwn clients start from other tables"
        )
    if not table_store.holds_private:
        name = type(table_store).__name__
        raise InputError(f"model.client.table_store={name}: holds no private tables; DecayedRows and FullTables do")
