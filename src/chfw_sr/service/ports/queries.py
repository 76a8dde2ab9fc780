"""The queries: what happened, for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chfw_sr.campaign.model import Campaign, Cell, Hub, Participation
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase, Region, Stage

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
    phase: Phase | None = None


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign with everything that people want to see of it."""

    campaign: Campaign
    participations: tuple[Participation, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class HourOfResults:
    """How many results of one kind the hubs of a campaign had within an hour; `hour` is its beginning."""

    phase: Phase
    hour: datetime
    result: ActivationResult
    results: int


@dataclass(frozen=True, slots=True)
class FailuresByReason:
    """How many failures were reported for one reason; None where the report gave none."""

    phase: Phase
    reason: str | None
    failures: int


@dataclass(frozen=True, slots=True)
class SilentHub:
    """A hub whose window has begun and which has reported nothing."""

    eui: EUI
    phase: Phase
    supplier: EUI | None
    region: Region
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How a campaign goes, beyond its counts.

    Attributes:
        hours: results by phase, hour and kind, in this order. Results that came too late to have an effect are left
            out; a hub that failed and then succeeded has two.
        failures: by phase, the most frequent reason first.
        silent: hubs, those whose window ended first before others.
    """

    hours: tuple[HourOfResults, ...] = ()
    failures: tuple[FailuresByReason, ...] = ()
    silent: tuple[SilentHub, ...] = ()


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
        emails: messages to send by e-mail, at most `DEPTH_LIMIT`.
        oldest_email: when the oldest of them was put into the outbox.
    """

    outbox: int
    oldest: datetime | None
    quarantined: int
    campaigns: Mapping[Stage, int]
    emails: int = 0
    oldest_email: datetime | None = None


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

    async def progress(self, campaign_id: CampaignID, now: datetime, limit: int) -> Progress:
        """Tell how a campaign goes; takes as long as the campaign is large.

        Args:
            campaign_id: one that does not exist has no progress.
            now: a hub is silent if its window began before.
            limit: reasons and silent hubs, at most so many of each in a phase.
        """
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
