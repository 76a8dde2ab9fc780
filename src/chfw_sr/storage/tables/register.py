"""Who and what there is: Users, their certificates, and the inventory of hubs."""

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from chfw_sr.storage.columns import DETAIL, KEY, Instant

from .base import metadata

users = Table(
    "users",
    metadata,
    Column("eui", KEY, nullable=False),
    Column("name", Text, nullable=False),
    Column("roles", DETAIL, nullable=False),
    Column("status", Text, nullable=False),
    Column("regions", DETAIL, nullable=False),
    Column("is_operator", Boolean, nullable=False),
    Column("email", Text),
    Column("channels", Text, nullable=False, server_default="amqp"),
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
    # `Needs.responsible`: two ranges, before and after the campaign's version, in each. The manufacturer is left out: a
    # model of the same name from another is rare, and each column makes every entry dearer to sort and to find.
    Index("ix_hubs_import_supplier", "import_supplier", "model", "region", "firmware_version"),
    Index(
        "ix_hubs_gas_supplier",
        "gas_supplier",
        "model",
        "region",
        "firmware_version",
        sqlite_where=text("gas_supplier IS NOT import_supplier"),  # most have one Supplier of both
        postgresql_where=text("gas_supplier IS DISTINCT FROM import_supplier"),
    ),
    Index("ix_hubs_electricity_distributor", "electricity_distributor", "model", "region", "firmware_version"),
    Index("ix_hubs_gas_transporter", "gas_transporter", "model", "region", "firmware_version"),
    sqlite_with_rowid=False,
)
