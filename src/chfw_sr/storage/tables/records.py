"""What happened: activations, history, the requests that came in, and what could not be attributed."""

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from chfw_sr.storage.columns import DETAIL, KEY, SERIAL, Instant

from .base import WHOLE, metadata

activations = Table(
    "activations",
    metadata,
    Column("hub", KEY, nullable=False),
    Column("firmware_version", KEY, nullable=False),
    Column("at", Instant, nullable=False),
    Column("result", KEY, nullable=False),
    Column("failure_reason", Text),
    Column("campaign_id", KEY),
    Column("phase", KEY),
    Column("effective", Boolean, nullable=False),
    Column("request_id", Text),
    Column("recorded_at", Instant, nullable=False),
    PrimaryKeyConstraint("hub", "firmware_version", "at", name="pk_activations"),
    sqlite_with_rowid=False,
)

history = Table(
    "history",
    metadata,
    Column("id", SERIAL, nullable=False, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("campaign_id", KEY),
    Column("user_eui", KEY),
    Column("hub", KEY),
    Column("request_id", Text),
    Column("detail", DETAIL, nullable=False),
    PrimaryKeyConstraint("id", name="pk_history"),
    # A hub's timeline.
    Index(
        "ix_history_hub", "hub", "id", sqlite_where=text("hub IS NOT NULL"), postgresql_where=text("hub IS NOT NULL")
    ),
    # A campaign's, not hub by hub.
    Index(
        "ix_history_campaign",
        "campaign_id",
        "id",
        sqlite_where=text("hub IS NULL"),
        postgresql_where=text("hub IS NULL"),
    ),
)

inbox = Table(
    "inbox",
    metadata,
    Column("id", SERIAL, nullable=False, autoincrement=True),
    Column("request_id", KEY, nullable=False),
    Column("digest", KEY, nullable=False),  # in hex
    Column("conflict", Boolean, nullable=False),
    Column("srv", Text),
    Column("code", Text),
    Column("response", LargeBinary),
    Column("received_at", Instant),
    PrimaryKeyConstraint("id", name="pk_inbox"),
    UniqueConstraint("request_id", "digest", name="uq_inbox_content"),
    # One content owns a RequestID.
    Index(
        "uq_inbox_owner",
        "request_id",
        unique=True,
        sqlite_where=text("NOT conflict"),
        postgresql_where=text("NOT conflict"),
    ),
    postgresql_with=WHOLE,
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", SERIAL, nullable=False, autoincrement=True),
    Column("octets", LargeBinary, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("reply_to", Text),
    Column("correlation_id", Text),
    Column("source", Text),
    Column("replayed_at", Instant),
    PrimaryKeyConstraint("id", name="pk_quarantine"),
    # `depths`: what nobody has replayed.
    Index(
        "ix_quarantine_waiting",
        "id",
        sqlite_where=text("replayed_at IS NULL"),
        postgresql_where=text("replayed_at IS NULL"),
    ),
)
