"""Everything: Users, hubs, campaigns, history, inbox, outbox, quarantine.

Written by hand and frozen: it does not import the tables of the package, which change with later migrations.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
INSTANT = sa.Text().with_variant(TIMESTAMP(timezone=True), "postgresql")
DETAIL = sa.JSON().with_variant(JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

APPEND_ONLY = ("history", "activations")


def upgrade() -> None:
    """Create everything."""
    create_register()
    create_campaigns()
    create_places()
    create_history()
    create_messages()
    if op.get_context().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE outbox_block_seq AS bigint")
        protect_on_postgresql()
    else:
        op.execute("INSERT INTO counters (name, value) VALUES ('outbox', 0)")
        protect_on_sqlite()
    op.execute("INSERT INTO counters (name, value) VALUES ('trust', 0)")


def downgrade() -> None:
    """Refuse: before this there is nothing, and history is not to be thrown away by a migration."""
    raise NotImplementedError("there is nothing before revision 0001; to start anew, drop the database")


def partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    """Create an index over the rows that fulfil a condition."""
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def create_register() -> None:
    """Create Users, certificates, counters and the inventory."""
    op.create_table(
        "users",
        sa.Column("eui", KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", DETAIL, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("regions", DETAIL, nullable=False),
        sa.Column("is_operator", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("eui", name="pk_users"),
    )
    op.create_table(
        "certificates",
        sa.Column("issuer", KEY, nullable=False),
        sa.Column("serial", KEY, nullable=False),
        sa.Column("holder", KEY, nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("not_after", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
        sa.PrimaryKeyConstraint("issuer", "serial", name="pk_certificates"),
        sa.ForeignKeyConstraint(["holder"], ["users.eui"], name="fk_certificates_holder"),
    )
    op.create_index("ix_certificates_holder", "certificates", ["holder"])
    op.create_table(
        "counters",
        sa.Column("name", KEY, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
    )
    parties = ("import_supplier", "gas_supplier", "electricity_distributor", "gas_transporter")
    op.create_table(
        "hubs",
        sa.Column("eui", KEY, nullable=False),
        sa.Column("manufacturer", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("firmware_version", KEY, nullable=False),
        sa.Column("region", KEY, nullable=False),
        sa.Column("status", KEY, nullable=False),
        *(sa.Column(party, KEY) for party in parties),
        sa.Column("last_activation_at", INSTANT),
        sa.PrimaryKeyConstraint("eui", name="pk_hubs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_hubs_model", "hubs", ["manufacturer", "model", "region"])
    for party in parties:
        columns = [party, "manufacturer", "model", "region", "firmware_version"]
        op.create_index(f"ix_hubs_{party}", "hubs", columns)


def create_campaigns() -> None:
    """Create campaigns and participations."""
    op.create_table(
        "campaigns",
        sa.Column("campaign_id", KEY, nullable=False),
        sa.Column("operator", KEY, nullable=False),
        sa.Column("manufacturer", KEY, nullable=False),
        sa.Column("model", KEY, nullable=False),
        sa.Column("firmware_version", KEY, nullable=False),
        sa.Column("regions", DETAIL, nullable=False),
        sa.Column("pilot_period_start", INSTANT, nullable=False),
        sa.Column("pilot_period_end", INSTANT, nullable=False),
        sa.Column("safe_launch_period_start", INSTANT),
        sa.Column("safe_launch_period_end", INSTANT),
        sa.Column("minimum_notice_days", sa.Integer(), nullable=False),
        sa.Column("pilot_devices_minimum", sa.BigInteger()),
        sa.Column("pilot_devices_maximum", sa.BigInteger()),
        sa.Column("failure_threshold", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("stage", KEY, nullable=False),
        sa.Column("paused_from", KEY),
        sa.Column("paused_at", INSTANT),
        sa.Column("response_deadline", INSTANT),
        sa.Column("default_schedule", DETAIL),
        sa.Column("safe_launch_schedule", DETAIL),
        *phase_columns("pilot"),
        *phase_columns("safe_launch"),
        sa.Column("results_reported", sa.BigInteger(), nullable=False),
        sa.Column("results_failed", sa.BigInteger(), nullable=False),
        sa.Column("next_status_at", INSTANT),
        sa.Column("ended_from", KEY),
        sa.Column("ended_at", INSTANT),
        sa.Column("due_at", INSTANT),
        sa.PrimaryKeyConstraint("campaign_id", name="pk_campaigns"),
    )
    partial_index("ix_campaigns_due_at", "campaigns", ["due_at"], "due_at IS NOT NULL")
    op.create_table(
        "participations",
        sa.Column("campaign_id", KEY, nullable=False),
        sa.Column("supplier", KEY, nullable=False),
        sa.Column("default_devices", sa.BigInteger(), nullable=False),
        sa.Column("nominated_devices", sa.BigInteger()),
        sa.Column("preferred_schedule", DETAIL),
        sa.Column("pilot_devices", sa.BigInteger(), nullable=False),
        sa.Column("safe_launch_devices", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "supplier", name="pk_participations"),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.campaign_id"], name="fk_participations_campaign_id"),
    )


def phase_columns(prefix: str) -> list[sa.Column]:
    """Give the columns of one phase of a campaign."""
    return [
        *(sa.Column(f"{prefix}_{name}", INSTANT) for name in ("starts_at", "ends_at", "started_at", "ended_at")),
        *(sa.Column(f"{prefix}_{name}", sa.Boolean(), nullable=False) for name in ("all_reported", "cut_short")),
        *(
            sa.Column(f"{prefix}_{name}", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
            for name in ("devices", "activated", "failed")
        ),
    ]


def create_places() -> None:
    """Create cells, and the hubs of campaigns."""
    key = ["campaign_id", "phase", "supplier", "electricity_distributor", "gas_transporter", "region", "window_id"]
    op.create_table(
        "cells",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        *(sa.Column(name, KEY, nullable=False) for name in key[:-1]),
        sa.Column("window_id", sa.BigInteger(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
        sa.Column("activated", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cells"),
        sa.UniqueConstraint(*key, name="uq_cells_key"),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.campaign_id"], name="fk_cells_campaign_id"),
    )
    op.create_table(
        "campaign_hubs",
        sa.Column("campaign_id", KEY, nullable=False),
        sa.Column("phase", KEY, nullable=False),
        sa.Column("hub", KEY, nullable=False),
        sa.Column("default_supplier", KEY),
        sa.Column("default_position", sa.Integer()),
        sa.Column("nominated_by", KEY),
        sa.Column("nominated_position", sa.Integer()),
        sa.Column("cell_id", sa.BigInteger()),
        sa.Column("position", sa.Integer()),
        sa.Column("outcome", KEY),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "phase", "hub", name="pk_campaign_hubs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_campaign_hubs_hub", "campaign_hubs", ["hub"])
    op.create_index("ix_campaign_hubs_cell_id", "campaign_hubs", ["cell_id", "hub"])
    default = ["campaign_id", "default_supplier", "default_position"]
    partial_index("ix_campaign_hubs_default", "campaign_hubs", default, "default_supplier IS NOT NULL")
    nominated = ["campaign_id", "nominated_by", "nominated_position"]
    partial_index("ix_campaign_hubs_nominated", "campaign_hubs", nominated, "nominated_by IS NOT NULL")


def create_history() -> None:
    """Create the activations and the history, to which rows are only ever added."""
    op.create_table(
        "activations",
        sa.Column("hub", KEY, nullable=False),
        sa.Column("firmware_version", KEY, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("result", KEY, nullable=False),
        sa.Column("failure_reason", sa.Text()),
        sa.Column("campaign_id", KEY),
        sa.Column("phase", KEY),
        sa.Column("effective", sa.Boolean(), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("hub", "firmware_version", "at", name="pk_activations"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "history",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("campaign_id", KEY),
        sa.Column("user_eui", KEY),
        sa.Column("hub", KEY),
        sa.Column("request_id", sa.Text()),
        sa.Column("detail", DETAIL, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
    )
    partial_index("ix_history_hub", "history", ["hub", "id"], "hub IS NOT NULL")
    partial_index("ix_history_campaign", "history", ["campaign_id", "id"], "hub IS NULL")


def create_messages() -> None:
    """Create inbox, outbox and quarantine."""
    op.create_table(
        "inbox",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("request_id", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("conflict", sa.Boolean(), nullable=False),
        sa.Column("srv", sa.Text()),
        sa.Column("code", sa.Text()),
        sa.Column("response", sa.LargeBinary()),
        sa.Column("received_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
        sa.UniqueConstraint("request_id", "digest", name="uq_inbox_content"),
    )
    partial_index("uq_inbox_owner", "inbox", ["request_id"], "NOT conflict", unique=True)
    op.create_table(
        "outbox",
        sa.Column("id", SERIAL, nullable=False, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("headers", DETAIL, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("token", sa.Text()),
        sa.Column("leased_until", INSTANT),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("published_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    partial_index("ix_outbox_unfinished", "outbox", ["id"], "published_at IS NULL")
    partial_index("ix_outbox_published_at", "outbox", ["published_at"], "published_at IS NOT NULL")
    op.create_table(
        "quarantine",
        sa.Column("id", SERIAL, nullable=False, autoincrement=True),
        sa.Column("octets", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("reply_to", sa.Text()),
        sa.Column("correlation_id", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("replayed_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
    )


def protect_on_sqlite() -> None:
    """Refuse to change or delete what is only ever added to."""
    for table in APPEND_ONLY:
        for event in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are only ever added'); END"
            )


def protect_on_postgresql() -> None:
    """Refuse to change or delete what is only ever added to."""
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'rows of % are only ever added', TG_TABLE_NAME; END$$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
