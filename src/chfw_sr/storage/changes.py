"""Carries out changes, in order, and writes the history from them. Whole lists are a few statements each."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, assert_never

from sqlalchemy import (
    Integer,
    and_,
    column,
    delete,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from chfw_sr.campaign.changes import (
    ActivationsRecorded,
    CampaignEvent,
    CampaignSaved,
    Change,
    DefaultListSet,
    NominationsReplaced,
    ParticipationSaved,
    PilotAllotted,
    SafeLaunchAllotted,
)
from chfw_sr.campaign.model import Participation
from chfw_sr.messages import Phase
from chfw_sr.service.ports import Cause

from .activations import record_activations
from .allotment import allot_pilot
from .columns import KEY
from .dialects import Modification, SqlDialect, Upsert
from .history import record, record_hubs
from .lines import campaign_line, participation_line
from .mapping import campaign_values, participation_values
from .safe_launch import SafeLaunches
from .tables import campaign_hubs, campaigns, participations

_OtherChange: TypeAlias = (
    CampaignSaved | DefaultListSet | NominationsReplaced | PilotAllotted | SafeLaunchAllotted | ActivationsRecorded
)


class ChangeMaker:
    """Carries out changes in one transaction.

    Args:
        connection: in a transaction.
        dialect: its dialect.
        safe_launches: which remembers what was counted.
    """

    def __init__(self, connection: AsyncConnection, dialect: SqlDialect, safe_launches: SafeLaunches) -> None:
        self._connection = connection
        self._dialect = dialect
        self._safe_launches = safe_launches

    async def apply(self, changes: Sequence[Change], cause: Cause) -> None:
        """Carry out changes in order; neighbours that save participations go together."""
        together: list[ParticipationSaved] = []
        for change in changes:
            if isinstance(change, ParticipationSaved):
                together.append(change)
                continue
            await self._save_participations(together, cause)
            together = []
            await self._apply(change, cause)
        await self._save_participations(together, cause)

    async def _apply(self, change: _OtherChange, cause: Cause) -> None:
        match change:
            case CampaignSaved():
                await self._save_campaign(change, cause)
            case DefaultListSet():
                await self._set_default_list(change, cause)
            case NominationsReplaced():
                await self._replace_nominations(change, cause)
            case PilotAllotted():
                await allot_pilot(self._connection, self._dialect, change, cause)
            case SafeLaunchAllotted():
                await self._safe_launches.allot(change, cause)
            case ActivationsRecorded():
                await record_activations(self._connection, self._dialect, change, cause)
            case _:
                assert_never(change)

    async def _save_campaign(self, change: CampaignSaved, cause: Cause) -> None:
        """Create it, and lose the race if it is there already; or save it."""
        values = campaign_values(change.campaign)
        if change.event is CampaignEvent.CREATED or not await self._update_campaign(values):
            await self._connection.execute(insert(campaigns).values(values))
        await record(self._connection, self._dialect, [campaign_line(change, cause)])

    async def _update_campaign(self, values: Mapping[str, Any]) -> bool:
        """Update it, but for its name, which other tables hold to; tell whether it was there."""
        known = update(campaigns).where(campaigns.c.campaign_id == values["campaign_id"])
        others = {name: value for name, value in values.items() if name != "campaign_id"}
        return (await self._connection.execute(known.values(others))).rowcount > 0

    async def _save_participations(self, changes: Sequence[ParticipationSaved], cause: Cause) -> None:
        if changes:
            parts = [change.participation for change in changes]
            await self._dialect.change(self._connection, [saving_participations(self._dialect, parts)], ())
            await record(self._connection, self._dialect, [participation_line(change, cause) for change in changes])

    async def _set_default_list(self, change: DefaultListSet, cause: Cause) -> None:
        data = [
            (hub, supplier, position)
            for supplier, listed in change.parts.items()
            for position, hub in enumerate(listed)
        ]
        named = self._dialect.rows(
            "named", [column("hub", KEY), column("supplier", KEY), column("position", Integer)], data
        )
        campaign_id = literal(change.campaign_id, KEY)
        columns = ["campaign_id", "phase", "hub", "default_supplier", "default_position", "held"]
        rows = select(campaign_id, _PILOT, named.c.hub, named.c.supplier, named.c.position, true())
        await self._dialect.put(self._connection, campaign_hubs, columns, rows)
        listed = select(campaign_id, named.c.supplier, named.c.hub).order_by(named.c.supplier, named.c.position)
        await record_hubs(self._connection, "DefaultListed", cause, listed)

    async def _replace_nominations(self, change: NominationsReplaced, cause: Cause) -> None:
        """Write the history first, since it is told by what was there before."""
        row = campaign_hubs.c
        named = self._dialect.listed("named", column("hub", KEY))
        given = {"named": self._dialect.listing(change.hubs)}
        campaign_id, supplier = literal(change.campaign_id, KEY), literal(change.supplier, KEY)
        own = and_(row.campaign_id == change.campaign_id, row.phase == Phase.PILOT.value, row.nominated_by == supplier)
        withdrawn = and_(own, row.hub.not_in(select(named.c.hub)))
        found = select(campaign_id, supplier, row.hub).where(withdrawn).order_by(row.hub)
        gone = await record_hubs(self._connection, "NominationWithdrawn", cause, found, given)
        known = named.c.hub.in_(select(row.hub).where(own))
        new = select(campaign_id, supplier, named.c.hub).where(~known).order_by(named.c.place)
        await record_hubs(self._connection, "Nominated", cause, new, given)
        if gone:
            await self._connection.execute(
                delete(campaign_hubs).where(withdrawn, row.default_supplier.is_(None)), given
            )
            nobody = {"nominated_by": None, "nominated_position": None}
            await self._connection.execute(update(campaign_hubs).where(withdrawn).values(nobody), given)
        columns = ["campaign_id", "phase", "hub", "nominated_by", "nominated_position", "held"]
        rows = select(campaign_id, _PILOT, named.c.hub, supplier, named.c.place - 1, true())
        await self._dialect.put(self._connection, campaign_hubs, columns, rows, given)


def saving_participations(dialect: SqlDialect, parts: Sequence[Participation]) -> Modification:
    """Create or save Suppliers' parts in campaigns, each named once."""
    rows = [[values[name] for name in _PARTICIPATION] for values in map(participation_values, parts)]
    given = dialect.giving("parts", tuple(participations.c), rows)
    return Modification(_save_participations, given, is_made=bool(parts))


_PARTICIPATION = participations.c.keys()


def _save_participations(dialect: SqlDialect) -> Upsert:
    new = dialect.given("parts", tuple(participations.c))
    values = select(*(new.c[name] for name in _PARTICIPATION)).where(true())
    statement = dialect.insert(participations).from_select(_PARTICIPATION, values)
    return statement.on_conflict_do_update(
        index_elements=["campaign_id", "supplier"],
        set_={name: statement.excluded[name] for name in _PARTICIPATION},
    )


_PILOT = literal(Phase.PILOT.value, KEY)
