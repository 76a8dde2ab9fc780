"""The types of columns that both databases share, though each in its own way."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import JSON, BigInteger, Dialect, Integer, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine


class Instant(TypeDecorator[datetime]):
    """An aware date and time in UTC, to the microsecond.

    SQLite has no such type: there it is text of one fixed width, so that the order of the text is the order in time.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        """Choose `TIMESTAMP WITH TIME ZONE` where there is one."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        """Write.

        Raises:
            ValueError: if it is naive, which is a defect of the caller.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a date and time without an offset cannot be stored")
        utc = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return utc
        return utc.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def result_processor(
        self,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's
        coltype: object,  # noqa: ARG002 - SQLAlchemy's
    ) -> Callable[[datetime | str | None], datetime | None]:
        """Read; given for the whole column, which saves two calls for each value."""
        return _read


def _read(value: datetime | str | None) -> datetime | None:
    """Read; PostgreSQL's driver takes the first and the last instant for infinities, and gives them naive."""
    if value is None:
        return None
    known = datetime.fromisoformat(value.removesuffix("Z")) if isinstance(value, str) else value
    return (
        known if known.tzinfo is UTC else known.replace(tzinfo=UTC) if known.tzinfo is None else known.astimezone(UTC)
    )


KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared and sorted as Python does, by code point: EUIs, identifiers, names of models."""

DETAIL = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

SERIAL = BigInteger().with_variant(Integer(), "sqlite")
"""A number that the database gives; SQLite only numbers a column of exactly this type."""

NUMBERS = JSON().with_variant(ARRAY(BigInteger, dimensions=1), "postgresql")
"""Some numbers in one value."""
