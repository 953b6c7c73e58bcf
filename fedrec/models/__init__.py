"""Recommenders: one per file."""

from fedrec.models.fedrap import FedRAP
from fedrec.models.gpfedrec import GPFedRec
from fedrec.models.item_bias import ItemBias
from fedrec.models.item_to_item import ItemToItem
from fedrec.models.mf import MF
from fedrec.models.ncf import NCF
from fedrec.models.pfedrec import PFedRec
from fedrec.models.recommender import Recommender

__all__ = ["MF", "NCF", "FedRAP", "GPFedRec", "ItemBias", "ItemToItem", "PFedRec", "Recommender"]
