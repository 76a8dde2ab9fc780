"""What processes share: counters, leases, and when the service was last up."""

from sqlalchemy import (
    BigInteger,
    Column,
    PrimaryKeyConstraint,
    Table,
)

from chfw_sr.storage.columns import KEY, Instant

from .base import metadata

counters = Table(
    "counters",
    metadata,
    Column("name", KEY, nullable=False),
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("name", name="pk_counters"),
)
"""`trust`: the revision of the trust store. `outbox`: the last id given, on SQLite."""

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

throttles = Table(
    "throttles",
    metadata,
    Column("eui", KEY, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("withheld", BigInteger, nullable=False),
    Column("request_id", KEY),
    PrimaryKeyConstraint("eui", name="pk_throttles"),
)
"""Refusals by quota of which a User is told together: one row a User that was ever refused so."""

beats = Table(
    "beats",
    metadata,
    Column("name", KEY, nullable=False),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("name", name="pk_beats"),
)
"""`service`: when it was last known to be up."""
