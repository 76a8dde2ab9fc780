"""Plays a simulation: whoever means to do something does it in time, and hears what comes of it."""

import heapq
import itertools
from collections.abc import Callable
from datetime import datetime

from .behaviour import Plan, Simulation
from .sites import Site

BATCH = 100
"""Requests that are sent together."""


async def play(simulation: Simulation, site: Site, watch: Callable[[datetime], None] = lambda _: None) -> None:
    """Play a simulation to its end: nobody means to do anything more, and the campaign is over or nothing is due.

    Args:
        simulation: who does what.
        site: against what.
        watch: told the present after every step.

    Raises:
        Unavailable: if a server is away.
    """
    order = itertools.count()
    plans = [(plan.at, next(order), plan) for plan in simulation.begin()]
    heapq.heapify(plans)
    latest = simulation.timetable.after(1.25)
    now = simulation.timetable.begins
    while plans or not (simulation.over or now > latest or await site.idle()):
        now = await site.until(plans[0][0] if plans else None)
        due: list[Plan] = []
        while plans and plans[0][0] <= now and len(due) < BATCH:
            due.append(heapq.heappop(plans)[2])
        await site.send(due)
        for alert in site.heard():
            for plan in simulation.heard(alert, now):
                heapq.heappush(plans, (plan.at, next(order), plan))
        watch(now)
