"""Local training of clients, side by side in padded buckets, and what they keep."""

from fedrec.client.client import Client
from fedrec.client.delta_upload import DeltaUpload
from fedrec.client.gradient_upload import GradientUpload
from fedrec.client.item_lists import ItemLists
from fedrec.client.local import LocalTraining

__all__ = ["Client", "DeltaUpload", "GradientUpload", "ItemLists", "LocalTraining"]
