"""Servers: what is broadcast, how uploads are aggregated, how the shared parameters step."""

from fedrec.server.server import MeanServer, Server

__all__ = ["MeanServer", "Server"]
