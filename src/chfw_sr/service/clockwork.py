"""The clock: due steps → the same decision → the same transaction.

A campaign whose step meets a defect of ours is left as it is, loudly, and looked at again after a while; it holds up
no other campaign.
"""

import logging
from datetime import datetime, timedelta

from structlog.contextvars import bound_contextvars

from chfw_sr.campaign.decision import Policy
from chfw_sr.messages import EUI, CampaignID
from chfw_sr.wire import Signer

from .conduct import Conduct
from .dispatch import dispatch
from .mailing import MailingList
from .observer import Observer, Unobserved
from .ports import Clock, Lease, Store, Unavailable
from .throttling import conclude

logger = logging.getLogger(__name__)

CAMPAIGNS_A_TICK = 100
USERS_A_TICK = 100

REST = timedelta(minutes=1)
"""How long a campaign is left alone after its step met a defect."""


class Clockwork:
    """Takes the clock-driven steps of campaigns.

    Args:
        store: where campaigns are kept.
        signer: the DCC's key.
        dcc: the DCC's EUI.
        policy: the settings that decisions depend on.
        clock: what time it is.
        observer: is told of every step.
        alert_interval: how often a User that is refused by its quota is told so.
    """

    def __init__(
        self,
        *,
        store: Store,
        signer: Signer,
        dcc: EUI,
        policy: Policy,
        clock: Clock,
        observer: Observer | None = None,
        alert_interval: timedelta = timedelta(minutes=1),
    ) -> None:
        self._store = store
        self._signer = signer
        self._dcc = dcc
        self._policy = policy
        self._clock = clock
        self._observer = observer or Unobserved()
        self._alert_interval = alert_interval
        self._mailing_list = MailingList(store)
        self._resting: dict[CampaignID, datetime] = {}

    async def tick(self, lease: Lease | None = None) -> int:
        """Take every step that is due, one transaction a campaign; give how many steps there were.

        Args:
            lease: what makes this clock the active one, where there are several; each transaction is fenced by it.

        Raises:
            Unavailable: if the store is down or the lease has changed hands; what was done is done, the rest is due.
        """
        now = self._clock.now()
        self._resting = {each: since for each, since in self._resting.items() if timedelta() <= now - since < REST}
        steps = 0
        for campaign_id in await self._store.due_campaigns(now, CAMPAIGNS_A_TICK + len(self._resting)):
            if campaign_id not in self._resting:
                with bound_contextvars(campaign_id=campaign_id):
                    steps += await self._try(campaign_id, lease)
        return steps + await self._tell_withheld(now, lease)

    async def _tell_withheld(self, now: datetime, lease: Lease | None) -> int:
        """Tell Users of refusals by quota that were not told one by one; give how many were told."""
        users = await self._store.due_throttles(now, self._alert_interval, USERS_A_TICK)
        if not users:
            return 0
        mailed = await self._mailing_list.current()
        async with self._store.begin() as work:
            if lease is not None:
                await work.fence(lease)
            alerts = await conclude(work, users, now, self._alert_interval)
            await dispatch(work, alerts, now=now, dcc=self._dcc, signer=self._signer, mailed=mailed)
            await work.commit()
        return len(alerts)

    async def _try(self, campaign_id: CampaignID, lease: Lease | None) -> int:
        try:
            return await self._advance(campaign_id, lease)
        except Unavailable:
            raise
        except Exception:
            logger.exception("a defect met a step of campaign %s; it is left as it is for %s", campaign_id, REST)
            self._observer.stalled(campaign_id)
            self._resting[campaign_id] = self._clock.now()
            return 0

    async def _advance(self, campaign_id: CampaignID, lease: Lease | None) -> int:
        now = self._clock.now()
        mailed = await self._mailing_list.current()
        async with self._store.begin() as work:
            if lease is not None:
                await work.fence(lease)
            conduct = Conduct(work, now, self._policy)
            steps = await conduct.clock(campaign_id)
            await dispatch(work, conduct.alerts, now=now, dcc=self._dcc, signer=self._signer, mailed=mailed)
            await work.commit()
        self._observer.stepped(campaign_id, steps)
        logger.info("campaign %s took %d step(s)", campaign_id, steps)
        return steps
