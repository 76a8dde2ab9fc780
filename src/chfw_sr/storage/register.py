"""The register: Users, certificates and the inventory of hubs."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain, groupby
from operator import lt
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    MetaData,
    RowMapping,
    Select,
    Table,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import DropTable

from chfw_sr.campaign.model import Hub
from chfw_sr.messages import EUI
from chfw_sr.service.ports import ON_THE_BUS, Cause, Contact, HubColumns, ImportCount, UserRecord
from chfw_sr.wire import TrustedCertificate

from .columns import KEY
from .dialects import SqlDialect
from .history import record_hubs
from .mapping import (
    HUB_DATA,
    certificate_values,
    contact_values,
    hub_data,
    to_certificate,
    to_contact,
    to_user,
    user_values,
)
from .tables import certificates, counters, hubs, users
from .transactions import Database

_temporary = MetaData()

imported = Table(
    "imported_hubs",
    _temporary,
    Column("place", BigInteger, nullable=False),
    *(Column(name, KEY) for name in HUB_DATA),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
"""What an import brought, in order; nothing else is kept of it before it is compared with the inventory."""

differing = Table(
    "differing_hubs",
    _temporary,
    Column("known", Boolean, nullable=False),
    *(Column(name, KEY) for name in HUB_DATA),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)
"""What of it is not in the inventory as it is: new hubs, and known ones whose data changed."""

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
        ((revision,),) = await self._database.glance(_trust_revision)
        return int(revision)

    async def import_hubs(self, chunks: AsyncIterator[Sequence[Hub]], at: datetime) -> ImportCount:
        """Add hubs or replace their data, in one transaction and constant memory.

        Into an inventory that is empty, hubs go straight. Whoever looks at a hub meanwhile waits; there is none to look
        at.
        """
        database = self._database
        async with database.transaction() as connection:
            importing = _Import(connection, database.dialect)
            with database.guard():
                await importing.begin()
            async for chunk in chunks:
                with database.guard():
                    await importing.take(chunk)
            with database.guard():
                counted = await importing.end(Cause(at))
                await connection.commit()
        return counted


def _trust_revision(_dialect: SqlDialect) -> Select[tuple[int]]:
    return select(counters.c.value).where(counters.c.name == "trust")


class _Import:
    """An import under way.

    Args:
        connection: in a transaction.
        dialect: its database's.
    """

    def __init__(self, connection: AsyncConnection, dialect: SqlDialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._seized = False  # the inventory, which was empty
        self._ascending = True  # each EUI is greater than the one before, as in most files: so none comes twice
        self._last: str | None = ""
        self._total = 0

    async def begin(self) -> None:
        """Make ready for the first chunk."""
        await self._dialect.take_memory(self._connection)
        await self._dialect.create_temporary(self._connection, imported)
        self._seized = await _seize_empty(self._connection, self._dialect)
        if self._seized:
            await self._dialect.drop_indexes(self._connection, hubs)

    async def take(self, chunk: Sequence[Hub]) -> None:
        """Put hubs where they belong, or where they wait for the end."""
        if not chunk:
            return
        columns = chunk.columns if isinstance(chunk, HubColumns) else list(zip(*map(hub_data, chunk), strict=True))
        euis = columns[0]
        if self._ascending and not all(map(lt, chain((self._last,), euis), euis)):
            self._ascending = False
            if self._seized:
                await self._step_aside()
        places = range(self._total, self._total + len(chunk))
        self._last = euis[-1]
        self._total += len(chunk)
        if self._seized and self._ascending:
            await self._dialect.load(self._connection, hubs, HUB_DATA, list(zip(*columns, strict=True)))
        else:
            rows = list(zip(places, *columns, strict=True))
            await self._dialect.load(self._connection, imported, imported.c.keys(), rows)

    async def _step_aside(self) -> None:
        """Hubs may come twice from now on: go on beside the inventory, with all that is in it."""
        taken = select(literal(-1), *(hubs.c[name] for name in HUB_DATA))
        await self._connection.execute(insert(imported).from_select(imported.c.keys(), taken))
        await self._dialect.empty(self._connection, hubs)

    async def end(self, cause: Cause) -> ImportCount:
        """Make the inventory what it is to be."""
        total = self._total
        if not self._ascending:
            total -= await _drop_earlier(self._connection, self._dialect)
        if self._seized:
            counted = ImportCount(added=total)
            await self._fill()
        else:
            counted = await _merge(self._connection, self._dialect, cause, total)
        await self._connection.execute(DropTable(imported))
        return counted

    async def _fill(self) -> None:
        """Put in what waits, and make the indexes: row by row they would cost more than all the rest."""
        waiting = select(*(imported.c[name] for name in HUB_DATA)).order_by(imported.c.eui)
        await self._connection.execute(insert(hubs).from_select(list(HUB_DATA), waiting))
        await self._dialect.make_indexes(self._connection, hubs)


async def _seize_empty(connection: AsyncConnection, dialect: SqlDialect) -> bool:
    """Tell whether the inventory is empty and ours until this transaction ends."""
    if not await _is_empty(connection) or not await dialect.owns(connection, hubs):
        return False
    await dialect.lock_table(connection, hubs)
    return await _is_empty(connection)


async def _is_empty(connection: AsyncConnection) -> bool:
    return not (await connection.execute(select(exists(select(hubs.c.eui))))).scalar_one()


async def _drop_earlier(connection: AsyncConnection, dialect: SqlDialect) -> int:
    """Of hubs that came twice keep the later; give how many went."""
    twice = select(imported.c.eui).group_by(imported.c.eui).having(func.count() > 1)
    if (await connection.execute(twice.limit(1))).first() is None:
        return 0
    await dialect.index_temporary(connection, imported, "eui", "place")
    later = imported.alias("later")
    again = exists().where(later.c.eui == imported.c.eui, later.c.place > imported.c.place)
    return (await connection.execute(delete(imported).where(again))).rowcount


async def _merge(connection: AsyncConnection, dialect: SqlDialect, cause: Cause, total: int) -> ImportCount:
    """Compare what was imported with the inventory once, and make the difference."""
    data = HUB_DATA[1:]
    await dialect.create_temporary(connection, differing)
    same = hubs.c.eui == imported.c.eui
    differs = or_(hubs.c.eui.is_(None), *(hubs.c[name].is_distinct_from(imported.c[name]) for name in data))
    found = select(hubs.c.eui.is_not(None), *(imported.c[name] for name in HUB_DATA))
    found = found.join_from(imported, hubs, same, isouter=True).where(differs)
    await connection.execute(insert(differing).from_select(["known", *HUB_DATA], found))
    changed_hubs = select(null(), null(), differing.c.eui).where(differing.c.known).order_by(differing.c.eui)
    changed = await record_hubs(connection, "HubChanged", cause, changed_hubs)
    if changed:
        values = {name: differing.c[name] for name in data}
        await connection.execute(update(hubs).where(hubs.c.eui == differing.c.eui, differing.c.known).values(values))
    unknown = select(*(differing.c[name] for name in HUB_DATA)).where(~differing.c.known).order_by(differing.c.eui)
    added = (await connection.execute(insert(hubs).from_select(list(HUB_DATA), unknown))).rowcount
    await connection.execute(DropTable(differing))
    return ImportCount(added=added, changed=changed, unchanged=total - added - changed)


async def _contacts(connection: AsyncConnection, whose: ColumnElement[bool]) -> dict[EUI, Contact]:
    found = (await connection.execute(select(users).where(whose))).all()
    return {EUI(row.eui): to_contact(row) for row in found}


async def _certificates(connection: AsyncConnection) -> list[TrustedCertificate]:
    found = await connection.execute(select(certificates).order_by(*_CERTIFICATE_ORDER))
    return list(map(to_certificate, found))


def _fingerprints(rows: Iterable[Mapping[str, Any] | RowMapping]) -> set[tuple[Any, ...]]:
    return {(row["holder"], row["der"], row["revoked_at"]) for row in rows}
