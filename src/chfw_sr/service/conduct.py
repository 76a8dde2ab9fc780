"""Carries decisions into a unit of work: facts in, changes and messages out. The only caller of the domain.

Before a campaign's state is used, and after it changed, the clock-driven steps that are due are taken in the same
transaction, so that a request never meets a campaign that is behind the clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chfw_sr.campaign.authorise import authorise
from chfw_sr.campaign.changes import CampaignSaved
from chfw_sr.campaign.clock import decide_step, due_at, needs_of_step
from chfw_sr.campaign.decision import Decision, Policy
from chfw_sr.campaign.decisions import decide, needs_of
from chfw_sr.campaign.facts import Needs
from chfw_sr.campaign.model import Campaign, Incomplete
from chfw_sr.messages import Alert, CampaignID, Rejected, ServiceRequest

from .ports import Cause, UnitOfWork

MAX_STEPS = 16
"""Clock-driven steps that one campaign can take at one instant; more would be a defect of the transition table."""


async def anticipate(work: UnitOfWork, requests: Sequence[ServiceRequest]) -> list[Needs | None]:
    """Prepare a unit of work for requests that will be decided in order.

    Their senders are authorised first: 50,000 hubs are not looked up for somebody who may not ask.

    Args:
        work: the open unit of work.
        requests: that will be given to `Conduct.request`.

    Returns:
        What each needs, or None if its sender may not ask.
    """
    senders = dict.fromkeys(each.request_id.originator for each in requests)
    await work.anticipate([Needs(user=eui) for eui in senders])
    known = {eui: (await work.facts(Needs(user=eui))).user for eui in senders}
    needs: list[Needs | None] = []
    for request in requests:
        try:
            authorise(request, known[request.request_id.originator])
        except Rejected:
            needs.append(None)
        else:
            needs.append(needs_of(request))
    await work.anticipate([each for each in needs if each is not None])
    return needs


@dataclass(slots=True)
class Conduct:
    """One unit of work, seen from the domain's side.

    Attributes:
        work: the open unit of work.
        now: the one instant at which everything in it happens.
        policy: the settings that decisions depend on.
        alerts: what is to be sent so far, in order.
    """

    work: UnitOfWork
    now: datetime
    policy: Policy
    alerts: list[Alert] = field(default_factory=list)

    async def request(self, request: ServiceRequest, needs: Needs | None = None) -> Decision:
        """Authorise, decide and carry out one Service Request.

        Args:
            request: read from a verified document.
            needs: what it needs, where its sender was authorised by `anticipate` in the same unit of work.

        Raises:
            Rejected: if the request is refused; nothing but due steps of the clock was changed then.

        Source: wire contract §6, order of the checks, from E1 on.
        """
        if needs is None:
            sender = await self.work.facts(Needs(user=request.request_id.originator))
            authorise(request, sender.user)  # before 50,000 hubs are looked up for somebody who may not ask
            needs = needs_of(request)
        facts = await self.work.facts(needs)
        due = self._due([known.campaign for _, known in sorted(facts.campaigns.items())])
        if due:
            await self._settle(due)
            facts = await self.work.facts(needs)
        try:
            decision = decide(request, facts, self.now, self.policy)
        except Incomplete:  # it has come to a point where all Suppliers are to be told
            facts = await self.work.facts(replace(needs, everybody=True))
            decision = decide(request, facts, self.now, self.policy)
        await self._carry_out(decision, Cause(self.now, request.request_id))
        saved = [change.campaign for change in decision.changes if isinstance(change, CampaignSaved)]
        due = self._due({campaign.campaign_id: campaign for campaign in saved}.values())
        if due:
            await self._settle(due)
        return decision

    async def clock(self, campaign_id: CampaignID) -> int:
        """Take every clock-driven step of a campaign that is due; give how many there were."""
        for steps in range(MAX_STEPS):
            facts = await self.work.facts(Needs(campaign=campaign_id))
            campaign = facts.campaigns[campaign_id].campaign
            if not self._is_due(campaign):
                return steps
            facts = await self.work.facts(needs_of_step(campaign, self.now))
            await self._carry_out(decide_step(facts, campaign_id, self.now, self.policy), Cause(self.now))
        raise RuntimeError(f"campaign {campaign_id} takes no end of steps at {self.now.isoformat()}")

    def _is_due(self, campaign: Campaign) -> bool:
        due = due_at(campaign)
        return due is not None and due <= self.now

    def _due(self, campaigns: Iterable[Campaign]) -> list[CampaignID]:
        """Name those of campaigns, known as they stand, of which a step is due."""
        return [each.campaign_id for each in campaigns if self._is_due(each)]

    async def _settle(self, due: Iterable[CampaignID]) -> None:
        """Take the due steps of campaigns, in order."""
        for each in due:
            await self.clock(each)

    async def _carry_out(self, decision: Decision, cause: Cause) -> None:
        if decision.changes:
            await self.work.apply(decision.changes, cause)
        self.alerts.extend(decision.alerts)
