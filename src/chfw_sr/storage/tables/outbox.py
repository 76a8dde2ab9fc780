"""What is to be published, how far it has come, and the lanes in which it travels.

A message is written once. That it waits is a small row of its own, which goes when the message is finished; its id then
stands among those of all that were finished together. So nothing copies the octets again, and what the relay looks at
stays small however much lies there published.
"""

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    bindparam,
    or_,
    text,
)

from chfw_sr.storage.columns import DETAIL, KEY, NUMBERS, SERIAL, Instant

from .base import WHOLE, metadata

VACUUM_OFTEN = {"autovacuum_vacuum_scale_factor": 0, "autovacuum_vacuum_threshold": 1000}
"""For tables whose rows come and go: PostgreSQL's own sweeping, where the relay's (`SqlDialect.sweep`) may not."""

lanes = Table(
    "lanes",
    metadata,
    Column("lane", KEY, nullable=False),
    Column("token", KEY),
    Column("leased_until", Instant),
    Column("claimed_to", SERIAL),
    Column("claimed", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("lane", name="pk_lanes"),
    # The lanes of a claim.
    Index(
        "ix_lanes_token", "token", sqlite_where=text("token IS NOT NULL"), postgresql_where=text("token IS NOT NULL")
    ),
    postgresql_with=VACUUM_OFTEN,
)
"""Every lane that ever had a message.

A lane with a token belongs to the claim of that name, with its pending messages up to `claimed_to`, of which `claimed`
are not marked yet. A lane with a lease and no token rests.
"""

FREE: ColumnElement[bool] = or_(
    lanes.c.leased_until.is_(None),
    lanes.c.leased_until <= bindparam("now", type_=Instant),
    lanes.c.leased_until > bindparam("furthest", type_=Instant),
)
"""The condition that nobody holds a lane at `now`; a lease beyond `furthest` comes of a clock that was wrong."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", SERIAL, nullable=False, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("octets", LargeBinary, nullable=False),
    Column("correlation_id", Text),
    Column("headers", DETAIL),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("id", name="pk_outbox"),
    postgresql_with=WHOLE,
)
"""The messages; never changed. Each is in one of the next two."""

outbox_pending = Table(
    "outbox_pending",
    metadata,
    Column("id", SERIAL, nullable=False, autoincrement=False),
    Column("lane", KEY, nullable=False),
    Column("attempts", Integer, nullable=False),
    # The relay's claims: lane after lane, the first messages of each. There is no other index, so that a planner that
    # knows too little has no wrong one to choose.
    PrimaryKeyConstraint("lane", "id", name="pk_outbox_pending"),
    postgresql_with=VACUUM_OFTEN,
)
"""The messages that wait, claimed or not; `attempts` counts those that failed."""

outbox_finished = Table(
    "outbox_finished",
    metadata,
    Column("first_id", SERIAL, nullable=False, autoincrement=False),  # the least of them
    Column("ids", NUMBERS, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("published_at", Instant, nullable=False),
    PrimaryKeyConstraint("first_id", name="pk_outbox_finished"),
    # The purge.
    Index("ix_outbox_finished_published_at", "published_at"),
)
"""The messages that were published or given up: a row for all that were marked together and had as many attempts."""
