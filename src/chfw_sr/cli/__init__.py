"""The command line, `chfw-sr`: one module per group of commands, all registered on one application."""

from . import (
    alerts,
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
    send,
    topology,
    users,
)
from .app import app, main

__all__ = [
    "alerts",
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
    "send",
    "topology",
    "users",
]
