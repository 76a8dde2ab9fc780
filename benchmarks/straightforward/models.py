"""Its tables."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Instant = TIMESTAMP(timezone=True)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    eui: Mapped[str] = mapped_column(Text, primary_key=True)
    role: Mapped[str]
    status: Mapped[str]


class Certificate(Base):
    __tablename__ = "certificates"
    serial: Mapped[str] = mapped_column(Text, primary_key=True)
    holder: Mapped[str] = mapped_column(ForeignKey("users.eui"))
    pem: Mapped[str]


class Campaign(Base):
    __tablename__ = "campaigns"
    campaign_id: Mapped[str] = mapped_column(Text, primary_key=True)
    manufacturer: Mapped[str]
    model: Mapped[str]
    firmware_version: Mapped[str]
    stage: Mapped[str]
    response_deadline: Mapped[datetime] = mapped_column(Instant)


class Hub(Base):
    __tablename__ = "hubs"
    eui: Mapped[str] = mapped_column(Text, primary_key=True)
    manufacturer: Mapped[str]
    model: Mapped[str]
    firmware_version: Mapped[str]
    status: Mapped[str]
    import_supplier: Mapped[str]
    gas_supplier: Mapped[str]


class Preference(Base):
    __tablename__ = "preferences"
    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.campaign_id"), primary_key=True)
    supplier: Mapped[str] = mapped_column(ForeignKey("users.eui"), primary_key=True)
    schedule: Mapped[list[dict[str, str]] | None] = mapped_column(JSONB)


class Nomination(Base):
    __tablename__ = "nominations"
    campaign_id: Mapped[str] = mapped_column(Text, primary_key=True)
    hub: Mapped[str] = mapped_column(ForeignKey("hubs.eui"), primary_key=True)
    supplier: Mapped[str] = mapped_column(Text, index=True)
    position: Mapped[int]


class Inbox(Base):
    __tablename__ = "inbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[str] = mapped_column(Text)
    digest: Mapped[str]
    code: Mapped[str]
    response: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(Instant)
    __table_args__ = (UniqueConstraint("request_id"),)


class History(Base):
    __tablename__ = "history"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant)
    kind: Mapped[str]
    campaign_id: Mapped[str]
    user: Mapped[str]
    request_id: Mapped[str]
    detail: Mapped[dict[str, object]] = mapped_column(JSONB)
