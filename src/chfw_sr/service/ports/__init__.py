"""What the service needs from the world outside: a store, a bus and a clock, as Protocols.

The store has three doors. A `UnitOfWork` is one transaction: it rolls back unless `commit` is called. The `Outbox` is
the relay's. The `Register` and the `Queries` are for people: who and what there is, and what happened.
"""

from .basics import Clock, Unavailable
from .bus import Consumer, Delivery, Publisher, PublishResult
from .contacts import ON_THE_BUS, Channels, Contact, parse_address
from .inbox import Claim, Claimed, ClaimStatus, InboxRecord, Quarantined
from .outbox import (
    HEADER_CODE,
    HEADER_REASON,
    HEADER_RECEIVED,
    MAIL_LANES,
    REPLY_LANES,
    MessageKind,
    Outbox,
    OutboxEntry,
    OutboxMessage,
    OutboxStatus,
    Patience,
    furthest_lease,
)
from .queries import (
    DEPTH_LIMIT,
    ActivationRow,
    CampaignView,
    Depths,
    FailuresByReason,
    HistoryRow,
    HourOfResults,
    HubView,
    InboxEntry,
    Progress,
    Queries,
    SilentHub,
)
from .register import HubColumns, ImportCount, Register, UserRecord
from .store import Store
from .throttles import LONG_AGO, Throttle
from .unit_of_work import Cause, Lease, UnitOfWork

__all__ = [
    "DEPTH_LIMIT",
    "HEADER_CODE",
    "HEADER_REASON",
    "HEADER_RECEIVED",
    "LONG_AGO",
    "MAIL_LANES",
    "ON_THE_BUS",
    "REPLY_LANES",
    "ActivationRow",
    "CampaignView",
    "Cause",
    "Channels",
    "Claim",
    "ClaimStatus",
    "Claimed",
    "Clock",
    "Consumer",
    "Contact",
    "Delivery",
    "Depths",
    "FailuresByReason",
    "HistoryRow",
    "HourOfResults",
    "HubColumns",
    "HubView",
    "ImportCount",
    "InboxEntry",
    "InboxRecord",
    "Lease",
    "MessageKind",
    "Outbox",
    "OutboxEntry",
    "OutboxMessage",
    "OutboxStatus",
    "Patience",
    "Progress",
    "PublishResult",
    "Publisher",
    "Quarantined",
    "Queries",
    "Register",
    "SilentHub",
    "Store",
    "Throttle",
    "Unavailable",
    "UnitOfWork",
    "UserRecord",
    "furthest_lease",
    "parse_address",
]
