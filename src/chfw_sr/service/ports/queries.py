"""The queries: what happened, for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chfw_sr.campaign.model import Campaign, Cell, Hub, Participation
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Stage

from .inbox import Quarantined
from .outbox import OutboxEntry, OutboxStatus


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of the history; `request_id` is None where the clock or an import was the cause."""

    id: int
    at: datetime
    kind: str
    campaign_id: CampaignID | None = None
    user: EUI | None = None
    hub: EUI | None = None
    request_id: str | None = None
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActivationRow:
    """A recorded result of a hub."""

    hub: EUI
    firmware_version: str
    at: datetime
    result: ActivationResult
    failure_reason: str | None
    campaign_id: CampaignID | None
    effective: bool
    request_id: str | None


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign with everything that people want to see of it."""

    campaign: Campaign
    participations: tuple[Participation, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class HubView:
    """A hub and its timeline, oldest first."""

    hub: Hub
    history: tuple[HistoryRow, ...]
    activations: tuple[ActivationRow, ...]


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """A request that was answered."""

    request_id: str
    digest: bytes
    srv: str | None
    code: str
    received_at: datetime
    conflict: bool


DEPTH_LIMIT = 100_000
"""Where counting a backlog ends: beyond it is enough to know that it is huge."""


@dataclass(frozen=True, slots=True)
class Depths:
    """How much waits.

    Attributes:
        outbox: messages to publish, at most `DEPTH_LIMIT`.
        oldest: when the oldest of them was put there.
        quarantined: inputs put aside and not replayed, at most `DEPTH_LIMIT`.
        campaigns: how many there are, by stage; a stage without any may be absent.
    """

    outbox: int
    oldest: datetime | None
    quarantined: int
    campaigns: Mapping[Stage, int]


class Queries(Protocol):
    """What happened, for people; reads only."""

    async def depths(self) -> Depths:
        """Tell how much waits; cheap however much there is."""
        ...

    async def campaigns(self) -> Sequence[Campaign]:
        """Give all campaigns, oldest first."""
        ...

    async def campaign(self, campaign_id: CampaignID) -> CampaignView | None:
        """Give one campaign; None if there is none."""
        ...

    async def campaign_history(self, campaign_id: CampaignID, limit: int) -> Sequence[HistoryRow]:
        """Give the newest `limit` rows about the campaign and its preferences (not hub by hub), oldest first."""
        ...

    async def hub(self, eui: EUI) -> HubView | None:
        """Give one hub with its timeline; None if there is none."""
        ...

    async def inbox(self, limit: int) -> Sequence[InboxEntry]:
        """Give the newest `limit` requests, newest first."""
        ...

    async def outbox(self, status: OutboxStatus | None, limit: int) -> Sequence[OutboxEntry]:
        """Give the oldest `limit` messages (of one status), in order of id."""
        ...

    async def quarantined(self, limit: int) -> Sequence[Quarantined]:
        """Give the newest `limit` quarantined inputs, newest first."""
        ...

    async def quarantined_item(self, item_id: int) -> Quarantined | None:
        """Give one quarantined input; None if there is none."""
        ...
