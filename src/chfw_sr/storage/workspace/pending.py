"""What was decided and the database has not been told yet: last states, sums, and the history in order."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chfw_sr.campaign.model import Campaign, Participation
from chfw_sr.messages import EUI, ActivationResult, CampaignID, Phase

from .known import Part, Place

HubRow = tuple[CampaignID, EUI]
"""A hub's row in the pilot of a campaign."""

Newest = tuple[datetime, str | None]
"""When a hub reported last, and the version that it runs since; None if that did not change."""


@dataclass(slots=True)
class Pending:
    """Everything that is to be written, in the order of the fields; the history's rows in their own.

    Attributes:
        campaigns: that are there already, as saved last.
        participations: as saved last.
        gone: rows to delete, before any is nominated again.
        nominated: who nominates a hub, and its place in that list; the campaign holds the hub.
        withdrawn: rows that stay, and that nobody nominates any more.
        activations: rows of results.
        inventory: what results say of hubs.
        outcomes: of hubs in a phase of a campaign.
        counts: by how much a cell's activated and failed hubs change.
        sums: by how much those of a phase of a campaign do.
        history: rows.
    """

    campaigns: dict[CampaignID, Campaign] = field(default_factory=dict)
    participations: dict[Part, Participation] = field(default_factory=dict)
    gone: dict[HubRow, None] = field(default_factory=dict)
    nominated: dict[HubRow, tuple[EUI | None, int | None]] = field(default_factory=dict)
    withdrawn: dict[HubRow, None] = field(default_factory=dict)
    activations: list[tuple[Any, ...]] = field(default_factory=list)
    inventory: dict[EUI, Newest] = field(default_factory=dict)
    outcomes: dict[tuple[CampaignID, Phase, EUI], ActivationResult] = field(default_factory=dict)
    counts: defaultdict[int, dict[ActivationResult, int]] = field(default_factory=lambda: defaultdict(_no_results))
    sums: defaultdict[Place, dict[ActivationResult, int]] = field(default_factory=lambda: defaultdict(_no_results))
    history: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to write: whatever changes is in the history."""
        return not self.history

    @property
    def some_begin_anew(self) -> bool:
        """Whether a row is to be deleted that is then written again."""
        return bool(self.gone) and not self.gone.keys().isdisjoint(self._written)

    @property
    def some_have_more(self) -> bool:
        """Whether a row gets an outcome of which other things are written, too."""
        return bool(self.outcomes) and not self._results.isdisjoint(self.nominated.keys() | self.withdrawn.keys())

    @property
    def _written(self) -> set[HubRow]:
        return self._results | self.nominated.keys() | self.withdrawn.keys()

    @property
    def _results(self) -> set[HubRow]:
        return {(campaign_id, hub) for campaign_id, phase, hub in self.outcomes if phase is Phase.PILOT}

    def nominate(self, row: HubRow, supplier: EUI, position: int) -> None:
        """Let a Supplier's list name a hub."""
        self.nominated[row] = (supplier, position)
        self.withdrawn.pop(row, None)

    def withdraw(self, row: HubRow) -> None:
        """Let nobody's list name a hub of which the row stays."""
        if row in self.nominated:
            self.nominated[row] = (None, None)
        else:
            self.withdrawn[row] = None

    def delete(self, row: HubRow) -> None:
        """Let a row go, with all that was to be written to it."""
        self.gone[row] = None
        self.nominated.pop(row, None)
        self.withdrawn.pop(row, None)
        campaign_id, hub = row
        self.outcomes.pop((campaign_id, Phase.PILOT, hub), None)

    def count(self, place: Place, cell_id: int, before: ActivationResult | None, result: ActivationResult) -> None:
        """Let a result take the place of the one before it."""
        for counted in (self.counts[cell_id], self.sums[place]):
            counted[result] += 1
            if before is not None:
                counted[before] -= 1


def _no_results() -> dict[ActivationResult, int]:
    return dict.fromkeys(ActivationResult, 0)
