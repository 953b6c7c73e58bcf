"""Servers: what is broadcast, how uploads are aggregated, how the shared parameters step."""

from fedrec.server.colr import LowRankServer
from fedrec.server.ease import EaseServer
from fedrec.server.extras import LastUpdate, RowFrequency
from fedrec.server.fcf import FCFServer
from fedrec.server.fedgloss import FedGloSS
from fedrec.server.fednsam import FedNSAM
from fedrec.server.gpfedrec import GraphServer
from fedrec.server.item_knn import ItemKNNServer
from fedrec.server.krum import KrumServer
from fedrec.server.local_only import LocalOnlyServer
from fedrec.server.mean import MeanServer
from fedrec.server.median import MedianServer
from fedrec.server.server import Server
from fedrec.server.trimmed_mean import TrimmedMeanServer

__all__ = [
    "EaseServer",
    "FCFServer",
    "FedGloSS",
    "FedNSAM",
    "GraphServer",
    "ItemKNNServer",
    "KrumServer",
    "LastUpdate",
    "LocalOnlyServer",
    "LowRankServer",
    "MeanServer",
    "MedianServer",
    "RowFrequency",
    "Server",
    "TrimmedMeanServer",
]
