"""What happened, for people."""

import heapq
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from chfw_sr.campaign.model import Campaign
from chfw_sr.messages import EUI, CampaignID
from chfw_sr.service.ports import (
    DEPTH_LIMIT,
    CampaignView,
    Depths,
    HistoryRow,
    HubView,
    InboxEntry,
    MessageKind,
    OutboxEntry,
    OutboxStatus,
    Progress,
    Quarantined,
)

from .facts import campaign_cells, campaign_participations, with_membership
from .progress import campaign_progress
from .state import State


class MemoryQueries:
    """Reads of what is committed; `Queries`.

    Args:
        state: the committed tables.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    async def depths(self) -> Depths:
        """Tell how much waits."""
        posts = sorted((post.message for post in self._state.pending.values()), key=lambda each: each.id)
        mails = [each for each in posts if each.kind is MessageKind.EMAIL]
        posts = [each for each in posts if each.kind is not MessageKind.EMAIL]
        waiting = sum(item.replayed_at is None for item in self._state.quarantine.values())
        return Depths(
            outbox=min(len(posts), DEPTH_LIMIT),
            oldest=posts[0].created_at if posts else None,
            emails=min(len(mails), DEPTH_LIMIT),
            oldest_email=mails[0].created_at if mails else None,
            quarantined=min(waiting, DEPTH_LIMIT),
            campaigns=Counter(each.stage for each in self._state.campaigns.values()),
        )

    async def campaigns(self) -> Sequence[Campaign]:
        """Give all campaigns, oldest first."""
        return sorted(self._state.campaigns.values(), key=lambda each: (each.created_at, each.campaign_id))

    async def campaign(self, campaign_id: CampaignID) -> CampaignView | None:
        """Give one campaign; None if there is none."""
        campaign = self._state.campaigns.get(campaign_id)
        if campaign is None:
            return None
        return CampaignView(
            campaign, campaign_participations(self._state, campaign_id), campaign_cells(self._state, campaign_id)
        )

    async def progress(self, campaign_id: CampaignID, now: datetime, limit: int) -> Progress:
        """Tell how a campaign goes."""
        return campaign_progress(self._state, campaign_id, now, limit)

    async def campaign_history(self, campaign_id: CampaignID, limit: int) -> Sequence[HistoryRow]:
        """Give the newest `limit` rows about the campaign and its preferences (not hub by hub), oldest first."""
        rows = (row for row in self._state.history.values() if row.campaign_id == campaign_id and row.hub is None)
        return heapq.nlargest(limit, rows, key=lambda row: row.id)[::-1]

    async def hub(self, eui: EUI) -> HubView | None:
        """Give one hub with its timeline; None if there is none."""
        hub = self._state.hubs.get(eui)
        if hub is None:
            return None
        activations = (row for row in self._state.activations.values() if row.hub == eui)
        return HubView(
            with_membership(self._state, hub),
            tuple(row for row in self._state.history.values() if row.hub == eui),
            tuple(sorted(activations, key=lambda row: row.at)),
        )

    async def inbox(self, limit: int) -> Sequence[InboxEntry]:
        """Give the newest `limit` requests, newest first."""
        entries = (
            (
                content.id,
                InboxEntry(
                    str(request_id),
                    content.digest,
                    content.record.srv,
                    content.record.code,
                    content.record.received_at,
                    conflict=content is not contents[0],
                ),
            )
            for request_id, contents in self._state.inbox.items()
            for content in contents
            if content.record
        )
        return [entry for _, entry in heapq.nlargest(limit, entries, key=lambda item: item[0])]

    async def outbox(self, status: OutboxStatus | None, limit: int) -> Sequence[OutboxEntry]:
        """Give the oldest `limit` messages (of one status), in order of id."""
        posts = (*self._state.pending.values(), *self._state.finished.values())
        known = ((post, self._state.status(post)) for post in posts)
        asked = ((post, is_at) for post, is_at in known if status in (None, is_at))
        return [
            OutboxEntry(post.message, is_at, post.attempts + (is_at is OutboxStatus.CLAIMED), post.finished_at)
            for post, is_at in heapq.nsmallest(limit, asked, key=lambda item: item[0].message.id)
        ]

    async def quarantined(self, limit: int) -> Sequence[Quarantined]:
        """Give the newest `limit` quarantined inputs, newest first."""
        return heapq.nlargest(limit, self._state.quarantine.values(), key=lambda item: item.id)

    async def quarantined_item(self, item_id: int) -> Quarantined | None:
        """Give one quarantined input; None if there is none."""
        return self._state.quarantine.get(item_id)
