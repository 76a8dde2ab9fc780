"""Campaigns, their plans and their counts.

There are no foreign keys on the table that holds a row for each hub of a campaign: it is written by the million in one
statement, and the campaign's lock guards it.
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
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from chfw_sr.messages import Stage
from chfw_sr.storage.columns import DETAIL, KEY, SERIAL, Instant

from .base import metadata


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
    Index(
        "ix_campaign_hubs_cell_id",
        "cell_id",
        "hub",
        postgresql_where=text("cell_id IS NOT NULL"),  # SQLite would not see that it serves to join cells
    ),
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
