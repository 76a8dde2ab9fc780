"""An import of the inventory, chunk by chunk: straight into one that is empty, else by way of a comparison."""

from collections.abc import Sequence
from itertools import chain
from operator import lt
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    MetaData,
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
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import DropTable

from chfw_sr.campaign.model import Hub
from chfw_sr.service.ports import Cause, HubColumns, ImportCount

from .columns import KEY
from .dialects import SqlDialect
from .history import record_hubs
from .mapping import HUB_DATA, hub_data
from .tables import hubs

_temporary = MetaData()


def _beside(name: str, first: Column[Any]) -> Table:
    """Make a temporary table of hubs, with a column before theirs."""
    columns = (first, *(Column(each, KEY) for each in HUB_DATA))
    return Table(name, _temporary, *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DROP")


imported = _beside("imported_hubs", Column("place", BigInteger, nullable=False))
"""What an import brought, in order; nothing else is kept of it before it is compared with the inventory."""

differing = _beside("differing_hubs", Column("known", Boolean, nullable=False))
"""What of it is not in the inventory as it is: new hubs, and known ones whose data changed."""


class Import:
    """An import under way.

    Args:
        connection: in a transaction.
        dialect: its database's.
    """

    def __init__(self, connection: AsyncConnection, dialect: SqlDialect) -> None:
        self._connection = connection
        self._dialect = dialect
        self._seized = False  # the inventory, which was empty
        self._ascending = True  # each EUI is greater than the one before, as in most files; so no hub comes twice
        self._last = ""
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
        await self._follow(columns[0])
        places = range(self._total, self._total + len(chunk))
        self._total = places.stop
        if self._seized and self._ascending:
            await self._dialect.load(self._connection, hubs, HUB_DATA, list(zip(*columns, strict=True)))
        else:
            rows = list(zip(places, *columns, strict=True))
            await self._dialect.load(self._connection, imported, imported.c.keys(), rows)

    async def _follow(self, euis: Sequence[Any]) -> None:
        """See whether EUIs still ascend; if not, hubs may come twice: go on beside the inventory, with all it has."""
        if not self._ascending:
            return
        self._ascending = all(map(lt, chain((self._last,), euis), euis))
        self._last = euis[-1]
        if self._seized and not self._ascending:
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
