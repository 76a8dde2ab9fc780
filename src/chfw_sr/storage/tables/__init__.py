"""The tables, as the last migration leaves them; a test holds the two equal on both databases.

Every index serves a query that is named beside it.
"""

from .base import metadata
from .campaigns import LIVE, campaign_hubs, campaigns, cells, participations
from .outbox import FREE, lanes, outbox, outbox_finished, outbox_pending
from .processes import beats, counters, leases, throttles
from .records import activations, history, inbox, quarantine
from .register import certificates, hubs, users

__all__ = [
    "FREE",
    "LIVE",
    "activations",
    "beats",
    "campaign_hubs",
    "campaigns",
    "cells",
    "certificates",
    "counters",
    "history",
    "hubs",
    "inbox",
    "lanes",
    "leases",
    "metadata",
    "outbox",
    "outbox_finished",
    "outbox_pending",
    "participations",
    "quarantine",
    "throttles",
    "users",
]
