"""What clients keep of item tables from round to round: one store a file, all with one interface."""

from fedrec.client.stores.decayed_rows import DecayedRows
from fedrec.client.stores.full_tables import FullTables
from fedrec.client.stores.nothing import Nothing
from fedrec.client.stores.own_copy import OwnCopy
from fedrec.client.stores.store import Store
from fedrec.client.stores.tuned_rows import TunedRows

__all__ = ["DecayedRows", "FullTables", "Nothing", "OwnCopy", "Store", "TunedRows"]
