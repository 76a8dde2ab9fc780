"""A Service Request before its judge, and what the kinds of request have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from chfw_sr.campaign.decision import Policy
from chfw_sr.campaign.facts import Facts
from chfw_sr.campaign.model import Campaign, CampaignFacts, User
from chfw_sr.campaign.transitions import Event, IllegalTransition, destination
from chfw_sr.messages import EUI, Body, CampaignID, Rejected, RequestID, ResponseCode
from chfw_sr.quick import quick

BodyT = TypeVar("BodyT", bound=Body)

_NAMED = 5


@quick
@dataclass(frozen=True, slots=True)
class Case(Generic[BodyT]):
    """An authorised Service Request with all that is known.

    Attributes:
        user: its originator, known and authorised.
        facts: the answers to the needs of this kind of request.
        now: when it was received.
    """

    request_id: RequestID
    body: BodyT
    user: User
    facts: Facts
    now: datetime
    policy: Policy

    def campaign(self, campaign_id: CampaignID, unknown: ResponseCode) -> CampaignFacts:
        """Find a campaign for an operator, who may see all.

        Raises:
            Rejected: with the code `unknown`.
        """
        found = self.facts.campaigns.get(campaign_id)
        if found is None:
            raise Rejected(unknown, f"There is no campaign {campaign_id}.")
        return found

    def own_campaign(self, campaign_id: CampaignID, unknown: ResponseCode) -> CampaignFacts:
        """Find a campaign for a User who sees it only by its part in it: the refusal tells nothing about others'.

        Raises:
            Rejected: with the code `unknown`.
        """
        found = self.facts.campaigns.get(campaign_id)
        if found is None or not (self.facts.responsible or self.user.eui in found.participations):
            raise hidden(campaign_id, unknown)
        return found


def hidden(campaign_id: CampaignID, unknown: ResponseCode) -> Rejected:
    """Make the one refusal for a campaign that does not exist and for one that is not for this User."""
    return Rejected(unknown, f"Campaign {campaign_id} is unknown, or not for this User.")


def permit(campaign: Campaign, event: Event, code: ResponseCode) -> None:
    """Check that the campaign's stage permits an event.

    Raises:
        Rejected: with the given code, naming stage and event.
    """
    try:
        destination(campaign, event)
    except IllegalTransition as error:
        raise Rejected(code, f"Campaign {campaign.campaign_id} in {error}.") from error


def named(euis: Sequence[EUI]) -> str:
    """Name the first few of many EUIs, and say how many there are."""
    if len(euis) == 1:
        return f"1 hub: {euis[0]}"
    shown = ", ".join(euis[:_NAMED])
    return f"{len(euis)} hubs: {shown}{', …' if len(euis) > _NAMED else ''}"
