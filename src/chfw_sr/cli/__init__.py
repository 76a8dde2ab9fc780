"""The command line, `chfw-sr`: one module per group of commands, all registered on one application."""

from . import (
    campaigns,
    catalogue,
    convert,
    database,
    documents,
    hubs,
    inventory,
    monitor,
    pki,
    queues,
    replay,
    report,
    run,
    topology,
    users,
)
from .app import app, main

__all__ = [
    "app",
    "campaigns",
    "catalogue",
    "convert",
    "database",
    "documents",
    "hubs",
    "inventory",
    "main",
    "monitor",
    "pki",
    "queues",
    "replay",
    "report",
    "run",
    "topology",
    "users",
]
