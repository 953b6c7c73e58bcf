"""Servers: what is broadcast, how uploads are aggregated, how the shared parameters step."""

from fedrec.server.colr import LowRankServer
from fedrec.server.extras import LastUpdate, RowFrequency
from fedrec.server.fedgloss import FedGloSS
from fedrec.server.fednsam import FedNSAM
from fedrec.server.mean import MeanServer
from fedrec.server.server import Server

__all__ = ["FedGloSS", "FedNSAM", "LastUpdate", "LowRankServer", "MeanServer", "RowFrequency", "Server"]
