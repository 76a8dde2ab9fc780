"""The heartbeat: the database knows when the service was last up, so that a downtime is noticed and made good.

Every process that takes requests or runs the clock beats: before its first piece of work, and before any other when its
last beat is older than it should be. So nothing is decided after a downtime (also one of the database alone) before its
consequences are. The beat's row is locked meanwhile: of several processes that come up together, one finds the gap.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from chfw_sr.campaign.downtime import Downtime, downtime_of, make_good
from chfw_sr.campaign.facts import Needs
from chfw_sr.messages import EUI, Alert, CampaignID
from chfw_sr.wire import Signer

from .dispatch import dispatch
from .mailing import NOBODY, MailingList
from .ports import Cause, Channels, Clock, Store, UnitOfWork

logger = logging.getLogger(__name__)

MISSED_BEATS = 6
"""Beats that may be missed before the silence counts as a downtime."""

MOST_CAMPAIGNS = 10_000
"""Campaigns that are looked at after a downtime; far more than are live at once."""


def elapsed() -> float:
    """Give seconds that never go back, and that go on while the machine sleeps, where it can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Heartbeat:
    """Tells the database that the service is up, and makes good what a downtime cost.

    Args:
        store: whose.
        signer: the DCC's key.
        dcc: the DCC's EUI.
        clock: what time it is.
        every_seconds: how often to beat.
        elapsed: seconds since some moment; a jump of the clock is no downtime.
    """

    def __init__(
        self,
        *,
        store: Store,
        signer: Signer,
        dcc: EUI,
        clock: Clock,
        every_seconds: float,
        elapsed: Callable[[], float] = elapsed,
    ) -> None:
        self._store = store
        self._signer = signer
        self._dcc = dcc
        self._clock = clock
        self._every_seconds = every_seconds
        self._tolerance = timedelta(seconds=MISSED_BEATS * every_seconds)
        self._elapsed = elapsed
        self._mailing_list = MailingList(store)
        self._beaten_at: float | None = None
        self._turn = asyncio.Lock()

    async def ensure(self) -> None:
        """Beat, if the last beat is older than it should be.

        Raises:
            Unavailable: if the store is down.
        """
        if not self._is_fresh(self._every_seconds):
            await self.beat()

    async def beat(self) -> Sequence[CampaignID]:
        """Beat; give the campaigns whose deadline was extended.

        Raises:
            Unavailable: if the store is down; nothing happened.
        """
        async with self._turn:
            now = self._clock.now()
            # A process that has beaten lately knows that there was no downtime, whatever its clock says.
            was_up = self._is_fresh(self._tolerance.total_seconds())
            suspects = () if was_up else await self._store.due_campaigns(now, MOST_CAMPAIGNS)
            mailed = NOBODY if was_up else await self._mailing_list.current()
            async with self._store.begin() as work:
                last_up = await work.beat(now)
                downtime = None if was_up else downtime_of(last_up, now, self._tolerance)
                extended = await self._make_good(work, suspects, downtime, mailed) if downtime else ()
                await work.commit()
            self._beaten_at = self._elapsed()
        if downtime:
            logger.warning(
                "the service was down from %s to %s; %d deadline(s) extended", downtime.began, now, len(extended)
            )
        return extended

    def _is_fresh(self, seconds: float) -> bool:
        return self._beaten_at is not None and self._elapsed() - self._beaten_at < seconds

    async def _make_good(
        self,
        work: UnitOfWork,
        suspects: Sequence[CampaignID],
        downtime: Downtime,
        mailed: Mapping[EUI, Channels],
    ) -> Sequence[CampaignID]:
        extended: list[CampaignID] = []
        alerts: list[Alert] = []
        for campaign_id in sorted(suspects):
            facts = await work.facts(Needs(campaign=campaign_id, everybody=True))
            decision = make_good(facts.campaigns[campaign_id], facts.operators, downtime)
            if decision.changes:
                await work.apply(decision.changes, Cause(downtime.ended))
                extended.append(campaign_id)
                alerts += decision.alerts
        await dispatch(work, alerts, now=downtime.ended, dcc=self._dcc, signer=self._signer, mailed=mailed)
        return extended
