"""Servers: what is broadcast, how uploads are aggregated, how the shared parameters step."""

from fedrec.server.mean import MeanServer
from fedrec.server.server import Server

__all__ = ["MeanServer", "Server"]
