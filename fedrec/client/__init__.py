"""Local training of clients, side by side in padded buckets, and what they keep."""

from importlib import import_module
from pkgutil import iter_modules

from fedrec.client.central import Central
from fedrec.client.client import Client
from fedrec.client.delta_upload import DeltaUpload
from fedrec.client.fcf import FCF
from fedrec.client.gradient_upload import GradientUpload
from fedrec.client.item_lists import ItemLists
from fedrec.client.local import LocalTraining

__all__ = ["FCF", "Central", "Client", "DeltaUpload", "GradientUpload", "ItemLists", "LocalTraining"]

# A configuration may name any part of a client by its path, but where it comes from a run folder nothing is imported
# because it says so (fedrec/runs/vetting.py): so all parts are known from the start.
for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
