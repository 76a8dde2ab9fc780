"""The tables, as the last migration leaves them; a test holds the two equal on both databases.

Every index serves a query that is named beside it. There are no foreign keys on the tables that hold a row for each hub
of a campaign: they are written by the million in one statement, and the campaign's lock guards them.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from chfw_sr.messages import Stage

from .columns import DETAIL, KEY, SERIAL, Instant

metadata = MetaData()


users = Table(
    "users",
    metadata,
    Column("eui", KEY, nullable=False),
    Column("name", Text, nullable=False),
    Column("roles", DETAIL, nullable=False),
    Column("status", Text, nullable=False),
    Column("regions", DETAIL, nullable=False),
    Column("is_operator", Boolean, nullable=False),
    PrimaryKeyConstraint("eui", name="pk_users"),
)

certificates = Table(
    "certificates",
    metadata,
    Column("issuer", KEY, nullable=False),
    Column("serial", KEY, nullable=False),
    Column("holder", KEY, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("revoked_at", Instant),
    PrimaryKeyConstraint("issuer", "serial", name="pk_certificates"),
    ForeignKeyConstraint(["holder"], ["users.eui"], name="fk_certificates_holder"),
    Index("ix_certificates_holder", "holder"),
)

counters = Table(
    "counters",
    metadata,
    Column("name", KEY, nullable=False),
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", name="pk_counters"),
)
"""`trust`: the revision of the trust store. `outbox`: the last id given, on SQLite."""

hubs = Table(
    "hubs",
    metadata,
    Column("eui", KEY, nullable=False),
    Column("manufacturer", KEY, nullable=False),
    Column("model", KEY, nullable=False),
    Column("firmware_version", KEY, nullable=False),
    Column("region", KEY, nullable=False),
    Column("status", KEY, nullable=False),
    Column("import_supplier", KEY),
    Column("gas_supplier", KEY),
    Column("electricity_distributor", KEY),
    Column("gas_transporter", KEY),
    Column("last_activation_at", Instant),
    PrimaryKeyConstraint("eui", name="pk_hubs"),
    # The Safe Launch: all hubs of a model.
    Index("ix_hubs_model", "manufacturer", "model", "region"),
    # `Needs.responsible`: two ranges, before and after the campaign's version, in each.
    Index("ix_hubs_import_supplier", "import_supplier", "manufacturer", "model", "region", "firmware_version"),
    Index("ix_hubs_gas_supplier", "gas_supplier", "manufacturer", "model", "region", "firmware_version"),
    Index(
        "ix_hubs_electricity_distributor",
        "electricity_distributor",
        "manufacturer",
        "model",
        "region",
        "firmware_version",
    ),
    Index("ix_hubs_gas_transporter", "gas_transporter", "manufacturer", "model", "region", "firmware_version"),
    sqlite_with_rowid=False,
)


def _phase_columns(prefix: str) -> list[Column[Any]]:
    """Name the columns of one phase: its times, and the sums over its cells, kept so that nothing adds them up."""
    instants: list[Column[Any]] = [
        Column(f"{prefix}_{name}", Instant) for name in ("starts_at", "ends_at", "started_at", "ended_at")
    ]
    flags: list[Column[Any]] = [
        Column(f"{prefix}_{name}", Boolean, nullable=False) for name in ("all_reported", "cut_short")
    ]
    sums: list[Column[Any]] = [
        Column(f"{prefix}_{name}", BigInteger, nullable=False, server_default=text("0"))
        for name in ("devices", "activated", "failed")
    ]
    return [*instants, *flags, *sums]


campaigns = Table(
    "campaigns",
    metadata,
    Column("campaign_id", KEY, nullable=False),
    Column("operator", KEY, nullable=False),
    Column("manufacturer", KEY, nullable=False),
    Column("model", KEY, nullable=False),
    Column("firmware_version", KEY, nullable=False),
    Column("regions", DETAIL, nullable=False),
    Column("pilot_period_start", Instant, nullable=False),
    Column("pilot_period_end", Instant, nullable=False),
    Column("safe_launch_period_start", Instant),
    Column("safe_launch_period_end", Instant),
    Column("minimum_notice_days", Integer, nullable=False),
    Column("pilot_devices_minimum", BigInteger),
    Column("pilot_devices_maximum", BigInteger),
    Column("failure_threshold", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("stage", KEY, nullable=False),
    Column("paused_from", KEY),
    Column("paused_at", Instant),
    Column("response_deadline", Instant),
    Column("default_schedule", DETAIL),
    Column("safe_launch_schedule", DETAIL),
    *_phase_columns("pilot"),
    *_phase_columns("safe_launch"),
    Column("results_reported", BigInteger, nullable=False),
    Column("results_failed", BigInteger, nullable=False),
    Column("next_status_at", Instant),
    Column("ended_from", KEY),
    Column("ended_at", Instant),
    Column("due_at", Instant),
    PrimaryKeyConstraint("campaign_id", name="pk_campaigns"),
    # `due_campaigns` and `next_due`.
    Index(
        "ix_campaigns_due_at",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
)

LIVE: ColumnElement[bool] = campaigns.c.stage.not_in([Stage.COMPLETE.value, Stage.ABORTED.value])
"""The condition that a campaign is live: only then does it hold hubs."""

participations = Table(
    "participations",
    metadata,
    Column("campaign_id", KEY, nullable=False),
    Column("supplier", KEY, nullable=False),
    Column("default_devices", BigInteger, nullable=False),
    Column("nominated_devices", BigInteger),
    Column("preferred_schedule", DETAIL),
    Column("pilot_devices", BigInteger, nullable=False),
    Column("safe_launch_devices", BigInteger, nullable=False),
    PrimaryKeyConstraint("campaign_id", "supplier", name="pk_participations"),
    ForeignKeyConstraint(["campaign_id"], ["campaigns.campaign_id"], name="fk_participations_campaign_id"),
)

cells = Table(
    "cells",
    metadata,
    Column("id", SERIAL, nullable=False, autoincrement=True),
    Column("campaign_id", KEY, nullable=False),
    Column("phase", KEY, nullable=False),
    # In these three '' stands for "none", so that uniqueness and joins are plain.
    Column("supplier", KEY, nullable=False),
    Column("electricity_distributor", KEY, nullable=False),
    Column("gas_transporter", KEY, nullable=False),
    Column("region", KEY, nullable=False),
    Column("window_id", BigInteger, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("devices", BigInteger, nullable=False),
    Column("activated", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="pk_cells"),
    UniqueConstraint(
        "campaign_id",
        "phase",
        "supplier",
        "electricity_distributor",
        "gas_transporter",
        "region",
        "window_id",
        name="uq_cells_key",
    ),
    ForeignKeyConstraint(["campaign_id"], ["campaigns.campaign_id"], name="fk_cells_campaign_id"),
)

campaign_hubs = Table(
    "campaign_hubs",
    metadata,
    Column("campaign_id", KEY, nullable=False),
    Column("phase", KEY, nullable=False),
    Column("hub", KEY, nullable=False),
    Column("default_supplier", KEY),
    Column("default_position", Integer),
    Column("nominated_by", KEY),
    Column("nominated_position", Integer),
    Column("cell_id", BigInteger),
    Column("position", Integer),  # in its Supplier's confirmed Pilot List
    Column("outcome", KEY),
    Column("held", Boolean, nullable=False),
    PrimaryKeyConstraint("campaign_id", "phase", "hub", name="pk_campaign_hubs"),
    # A hub's memberships.
    Index("ix_campaign_hubs_hub", "hub"),
    # The hubs of a Supplier's cells: its confirmed Pilot List, its part of the Safe Launch.
    Index("ix_campaign_hubs_cell_id", "cell_id", "hub"),
    # A Supplier's own lists, in list order.
    Index(
        "ix_campaign_hubs_default",
        "campaign_id",
        "default_supplier",
        "default_position",
        sqlite_where=text("default_supplier IS NOT NULL"),
        postgresql_where=text("default_supplier IS NOT NULL"),
    ),
    Index(
        "ix_campaign_hubs_nominated",
        "campaign_id",
        "nominated_by",
        "nominated_position",
        sqlite_where=text("nominated_by IS NOT NULL"),
        postgresql_where=text("nominated_by IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

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
)

lanes = Table(
    "lanes",
    metadata,
    Column("lane", KEY, nullable=False),
    Column("token", KEY),
    Column("leased_until", Instant),
    Column("served_at", Instant),
    PrimaryKeyConstraint("lane", name="pk_lanes"),
)
"""Every lane that ever had a message; a lane that is leased belongs to one relay."""

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
    Column("headers", DETAIL, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("status", Text, nullable=False),
    Column("token", Text),
    Column("leased_until", Instant),
    Column("attempts", Integer, nullable=False),
    Column("published_at", Instant),
    Column("lane", KEY, nullable=False, server_default=""),
    PrimaryKeyConstraint("id", name="pk_outbox"),
    # The relay's claims: what is not finished, lane by lane.
    Index(
        "ix_outbox_lane",
        "lane",
        "id",
        sqlite_where=text("published_at IS NULL"),
        postgresql_where=text("published_at IS NULL"),
    ),
    # For people, and for how much waits.
    Index(
        "ix_outbox_unfinished",
        "id",
        sqlite_where=text("published_at IS NULL"),
        postgresql_where=text("published_at IS NULL"),
    ),
    # The purge: what is.
    Index(
        "ix_outbox_published_at",
        "published_at",
        sqlite_where=text("published_at IS NOT NULL"),
        postgresql_where=text("published_at IS NOT NULL"),
    ),
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

leases = Table(
    "leases",
    metadata,
    Column("name", KEY, nullable=False),
    Column("holder", KEY, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("until", Instant, nullable=False),
    PrimaryKeyConstraint("name", name="pk_leases"),
)
"""What one process at a time holds; `''` holds what was given back."""

beats = Table(
    "beats",
    metadata,
    Column("name", KEY, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("name", name="pk_beats"),
)
"""`service`: when it was last known to be up."""
