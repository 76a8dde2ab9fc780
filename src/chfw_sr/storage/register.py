"""The register: Users, certificates and the inventory of hubs."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.model import Hub
from chfw_sr.messages import EUI
from chfw_sr.service.ports import ON_THE_BUS, Cause, Contact, ImportCount, UserRecord
from chfw_sr.wire import TrustedCertificate

from .importing import Import
from .lookups import trust_revision
from .mapping import (
    certificate_values,
    contact_values,
    to_certificate,
    to_contact,
    to_user,
    user_values,
)
from .tables import certificates, counters, users
from .transactions import Database

_CERTIFICATE_ORDER = (certificates.c.holder, certificates.c.issuer, certificates.c.serial)


class SqlRegister:
    """Who and what there is; a `Register`.

    Args:
        database: where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_users(self, records: Sequence[UserRecord], at: datetime) -> None:  # noqa: ARG002 - the port's
        """Add Users, or replace them with the same EUI; all or nothing. Certificates not named are withdrawn.

        Raises:
            ValueError: if a certificate is there twice, is another User's already, or of a User that is not registered.
        """
        known = {record.user.eui: record for record in records}
        if not known:
            return
        values = [user_values(record.user) | contact_values(record.contact) for record in known.values()]
        new = [certificate_values(each) for record in known.values() for each in record.certificates]
        dialect = self._database.dialect
        async with self._database.write() as connection:
            named = dialect.rows("named", [users.c.eui], [(eui,) for eui in known])
            contacts = await _contacts(connection, users.c.eui.in_(select(named.c.eui)))
            statement = dialect.insert(users)
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["eui"], set_={name: statement.excluded[name] for name in values[0]}
                ),
                values,
            )
            theirs = certificates.c.holder.in_(select(named.c.eui))
            before = (await connection.execute(select(certificates).where(theirs))).mappings().all()
            reached = all(contacts.get(eui, ON_THE_BUS) == record.contact for eui, record in known.items())
            if _fingerprints(before) != _fingerprints(new):
                await connection.execute(delete(certificates).where(theirs))
                if new:
                    await self._insert_certificates(connection, new)
            elif reached:
                return
            trust = update(counters).where(counters.c.name == "trust")
            await connection.execute(trust.values(value=counters.c.value + 1))

    async def _insert_certificates(self, connection: AsyncConnection, new: Sequence[dict[str, Any]]) -> None:
        try:
            await connection.execute(insert(certificates), new)
        except IntegrityError as error:
            raise ValueError("a certificate is there twice, by issuer and serial number, or of nobody here") from error

    async def users(self) -> Sequence[UserRecord]:
        """Give all Users in order of EUI, with their certificates."""
        async with self._database.read() as connection:
            found = (await connection.execute(select(users).order_by(users.c.eui))).all()
            trusted = await _certificates(connection)
        held = {holder: tuple(each) for holder, each in groupby(trusted, key=lambda one: one.holder)}
        return [UserRecord(to_user(row), held.get(EUI(row.eui), ()), to_contact(row)) for row in found]

    async def contacts(self) -> Mapping[EUI, Contact]:
        """Give the contact of each User that has an address, whether alerts go there or not."""
        async with self._database.read() as connection:
            return await _contacts(connection, users.c.email.is_not(None))

    async def certificates(self) -> Sequence[TrustedCertificate]:
        """Give every certificate of the trust store."""
        async with self._database.read() as connection:
            return await _certificates(connection)

    async def trust_revision(self) -> int:
        """Give a number that changes whenever a certificate or a contact does."""
        ((revision,),) = await self._database.glance(trust_revision)
        return int(revision)

    async def import_hubs(self, chunks: AsyncIterator[Sequence[Hub]], at: datetime) -> ImportCount:
        """Add hubs or replace their data, in one transaction and constant memory.

        Into an inventory that is empty, hubs go straight. Whoever looks at a hub meanwhile waits; there is none to look
        at.
        """
        database = self._database
        async with database.transaction() as connection:
            importing = Import(connection, database.dialect)
            with database.guard():
                await importing.begin()
            async for chunk in chunks:
                with database.guard():
                    await importing.take(chunk)
            with database.guard():
                counted = await importing.end(Cause(at))
                await database.dialect.commit(connection)
        return counted


async def _contacts(connection: AsyncConnection, whose: ColumnElement[bool]) -> dict[EUI, Contact]:
    found = (await connection.execute(select(users).where(whose))).all()
    return {EUI(row.eui): to_contact(row) for row in found}


async def _certificates(connection: AsyncConnection) -> list[TrustedCertificate]:
    found = await connection.execute(select(certificates).order_by(*_CERTIFICATE_ORDER))
    return list(map(to_certificate, found))


def _fingerprints(rows: Iterable[Mapping[str, Any] | RowMapping]) -> set[tuple[Any, ...]]:
    return {(row["holder"], row["der"], row["revoked_at"]) for row in rows}
