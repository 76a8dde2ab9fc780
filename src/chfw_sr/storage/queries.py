"""What happened, for people: reads of what is committed, each as of one moment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, case, func, literal, select

from chfw_sr.campaign.model import Campaign
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase, Stage
from chfw_sr.service.ports import (
    DEPTH_LIMIT,
    MAIL_LANES,
    ActivationRow,
    CampaignView,
    Depths,
    HistoryRow,
    HubView,
    InboxEntry,
    OutboxEntry,
    OutboxStatus,
    Progress,
    Quarantined,
)

from .facts import load_cells, load_hub, load_participations
from .mapping import to_campaign
from .post import entries
from .progress import load_progress
from .tables import activations, campaigns, history, inbox, outbox, outbox_pending, quarantine
from .transactions import Database


def _waiting() -> Select[Any]:
    """Count the messages that wait, and find the oldest, for each of the two ways out.

    The oldest is the oldest of those that come first in a lane, of which there are few: one goes from lane to lane.
    """
    pending, behind, inside = outbox_pending.c, outbox_pending.alias("behind").c, outbox_pending.alias("inside").c
    walk = select(select(func.min(pending.lane)).scalar_subquery().label("lane")).cte("walk", recursive=True)
    following = select(func.min(behind.lane)).where(behind.lane > walk.c.lane).correlate(walk).scalar_subquery()
    walk = walk.union_all(select(following).where(walk.c.lane.is_not(None)))
    first = select(func.min(inside.id)).where(inside.lane == walk.c.lane).correlate(walk).scalar_subquery()
    by_mail = case((walk.c.lane >= MAIL_LANES, 1), else_=0).label("by_mail")
    firsts = select(by_mail, first.label("first")).where(walk.c.lane.is_not(None)).subquery("firsts")
    ways = select(firsts.c.by_mail, func.min(firsts.c.first).label("first")).group_by(firsts.c.by_mail)
    each = ways.subquery("each")
    mails, others = (
        _count(select(literal(1)).where(condition)).scalar_subquery()
        for condition in (pending.lane >= MAIL_LANES, pending.lane < MAIL_LANES)
    )
    number = case((each.c.by_mail == 1, mails), else_=others).label("number")
    return select(each.c.by_mail, number, outbox.c.created_at.label("oldest")).join_from(
        each, outbox, outbox.c.id == each.c.first
    )


class SqlQueries:
    """What happened; `Queries`.

    Args:
        database: where to look.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def depths(self) -> Depths:
        """Tell how much waits, in three statements; none looks at more than `DEPTH_LIMIT` rows of a backlog."""
        by_stage = select(campaigns.c.stage, func.count()).group_by(campaigns.c.stage)
        async with self._database.read() as connection:
            ways = {row.by_mail: row for row in await connection.execute(_WAITING)}
            bus, mail = ways.get(0), ways.get(1)
            return Depths(
                outbox=bus.number if bus else 0,
                oldest=bus.oldest if bus else None,
                emails=mail.number if mail else 0,
                oldest_email=mail.oldest if mail else None,
                quarantined=await connection.scalar(
                    _count(select(quarantine.c.id).where(quarantine.c.replayed_at.is_(None)))
                )
                or 0,
                campaigns={Stage(stage): number for stage, number in await connection.execute(by_stage)},
            )

    async def campaigns(self) -> Sequence[Campaign]:
        """Give all campaigns, oldest first."""
        async with self._database.read() as connection:
            query = select(campaigns).order_by(campaigns.c.created_at, campaigns.c.campaign_id)
            return list(map(to_campaign, await connection.execute(query)))

    async def campaign(self, campaign_id: CampaignID) -> CampaignView | None:
        """Give one campaign; None if there is none."""
        async with self._database.read() as connection:
            found = await connection.execute(select(campaigns).where(campaigns.c.campaign_id == campaign_id))
            row = found.one_or_none()
            if row is None:
                return None
            return CampaignView(
                to_campaign(row),
                await load_participations(connection, [campaign_id]),
                await load_cells(connection, campaign_id),
            )

    async def progress(self, campaign_id: CampaignID, now: datetime, limit: int) -> Progress:
        """Tell how a campaign goes; takes as long as the campaign is large."""
        async with self._database.read() as connection:
            return await load_progress(connection, self._database.dialect, campaign_id, now, limit)

    async def campaign_history(self, campaign_id: CampaignID, limit: int) -> Sequence[HistoryRow]:
        """Give the newest `limit` rows about the campaign and its preferences (not hub by hub), oldest first."""
        own = select(history).where(history.c.campaign_id == campaign_id, history.c.hub.is_(None))
        async with self._database.read() as connection:
            found = await connection.execute(own.order_by(history.c.id.desc()).limit(limit))
            return list(map(_to_history, found))[::-1]

    async def hub(self, eui: EUI) -> HubView | None:
        """Give one hub with its timeline; None if there is none."""
        async with self._database.read() as connection:
            hub = await load_hub(connection, self._database.dialect, eui)
            if hub is None:
                return None
            past = await connection.execute(select(history).where(history.c.hub == eui).order_by(history.c.id))
            own = select(activations).where(activations.c.hub == eui)
            results = await connection.execute(own.order_by(activations.c.at, activations.c.recorded_at))
            return HubView(hub, tuple(map(_to_history, past)), tuple(map(_to_activation, results)))

    async def inbox(self, limit: int) -> Sequence[InboxEntry]:
        """Give the newest `limit` requests, newest first."""
        async with self._database.read() as connection:
            found = await connection.execute(select(inbox).order_by(inbox.c.id.desc()).limit(limit))
            return [
                InboxEntry(row.request_id, bytes.fromhex(row.digest), row.srv, row.code, row.received_at, row.conflict)
                for row in found
            ]

    async def outbox(self, status: OutboxStatus | None, limit: int) -> Sequence[OutboxEntry]:
        """Give the oldest `limit` messages (of one status), in order of id."""
        async with self._database.read() as connection:
            return await entries(connection, self._database.dialect, status, limit)

    async def quarantined(self, limit: int) -> Sequence[Quarantined]:
        """Give the newest `limit` quarantined inputs, newest first."""
        async with self._database.read() as connection:
            found = await connection.execute(select(quarantine).order_by(quarantine.c.id.desc()).limit(limit))
            return list(map(_to_quarantined, found))

    async def quarantined_item(self, item_id: int) -> Quarantined | None:
        """Give one quarantined input; None if there is none."""
        async with self._database.read() as connection:
            found = await connection.execute(select(quarantine).where(quarantine.c.id == item_id))
            row = found.one_or_none()
            return None if row is None else _to_quarantined(row)


def _count(rows: Select[Any]) -> Select[Any]:
    return select(func.count()).select_from(rows.limit(DEPTH_LIMIT).subquery())


_WAITING = _waiting()


def _to_history(row: Row[Any]) -> HistoryRow:
    return HistoryRow(
        id=row.id,
        at=row.at,
        kind=row.kind,
        campaign_id=row.campaign_id,
        user=row.user_eui,
        hub=row.hub,
        request_id=row.request_id,
        detail=row.detail,
    )


def _to_activation(row: Row[Any]) -> ActivationRow:
    return ActivationRow(
        hub=row.hub,
        firmware_version=row.firmware_version,
        at=row.at,
        result=ActivationResult(row.result),
        failure_reason=row.failure_reason,
        campaign_id=row.campaign_id,
        effective=row.effective,
        request_id=row.request_id,
        phase=Phase(row.phase) if row.phase else None,
    )


def _to_quarantined(row: Row[Any]) -> Quarantined:
    return Quarantined(
        octets=row.octets,
        code=row.code,
        reason=row.reason,
        received_at=row.received_at,
        reply_to=row.reply_to,
        correlation_id=row.correlation_id,
        source=row.source,
        id=row.id,
        replayed_at=row.replayed_at,
    )
