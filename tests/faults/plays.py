"""The plays: what is done to the service, in a short and a long version that differ in numbers alone."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .evidence import drain, unfinished
from .play import Play
from .scene import BETA
from .servers import CommitCutter, PrivatePostgreSQL, PrivateRabbit, terminate_backends
from .worker import POINTS

if TYPE_CHECKING:
    from .fleet import Member

WORKER = ("--no-relay",)
RELAY = ("--no-consumer", "--no-clock")

Act = Callable[[], Awaitable[object]]

LIMITED = {"CHFW_SR_RELAY_IN_FLIGHT_PER_RECIPIENT": "1"}
"""What an operator must set who limits the length of a User's queue (decision 0006)."""


async def undisturbed(it: Play, rounds: int) -> None:
    """Nothing is done to the service."""
    for each in range(2):
        await it.fleet.start(f"member-{each}")
    async with it.under_load(width=2, rounds=rounds):
        pass
    it.figures.faults("none")
    await it.settle()


async def killed_at_each_point(it: Play, times: int, *, points: Sequence[str] = POINTS, seed: int = 1) -> None:
    """Two processes kill themselves at every point of a message's way, so often each, and are started anew."""
    chance = random.Random(seed)
    strikes = [f"{point}:{chance.randint(1, 3)}" for point in points for _ in range(times)]
    chance.shuffle(strikes)
    async with it.under_load(width=2):
        await asyncio.gather(*(_struck(it, f"victim-{each}", strikes[each::2]) for each in range(2)))
        await it.fleet.start("healthy")
    it.figures.faults(f"{times} at each of: {', '.join(points)}" if len(points) > 1 else f"{times}")
    assert it.fleet.kills == len(strikes)
    await it.settle()


async def _struck(it: Play, name: str, strikes: Sequence[str]) -> None:
    member: Member | None = None
    for strike in strikes:
        if member is None:
            member = await it.fleet.start(name, strike=strike)
        else:
            await it.fleet.restart(member, CHFW_SR_TEST_STRIKE=strike)
        await it.fleet.ended(member)


async def killed_at_random(
    it: Play, seconds: float, *, every: tuple[float, float], clocked: int = 1, seed: int = 1
) -> None:
    """Two workers and two relays are killed at random under load, and started anew by their supervisor."""
    chance = random.Random(seed)
    members = [await it.fleet.start(f"worker-{each}", *WORKER) for each in range(2)]
    members += [await it.fleet.start(f"relay-{each}", *RELAY) for each in range(2)]
    for member in members:
        it.fleet.keep(member)
    async with it.under_load(width=2, clocked=clocked):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(chance.uniform(*every))  # the pace of the faults; nothing waits for it
            it.fleet.kill(chance.choice(members))
    it.figures.faults(f"{it.fleet.kills} kills in {seconds:.0f} s")
    assert it.fleet.kills
    await it.settle()


async def told_to_end(it: Play, times: int) -> None:
    """Two processes are told to end (SIGTERM) in turn, under load, and started anew."""
    members = [await it.fleet.start(f"member-{each}") for each in range(2)]
    async with it.under_load(width=2):
        for turn in range(times):
            member = members[turn % 2]
            await it.until(lambda member=member: member.ready, f"{member.name} is at work")
            await it.some_arrivals(10)
            assert await it.fleet.terminate(member) == 0
            await it.fleet.restart(member)
    it.figures.faults(f"{times}")
    await it.settle()


async def commits_cut(it: Play, cutter: CommitCutter, times: int) -> None:
    """The server's word that a transaction is committed is lost with its connection, so often."""
    for each in range(2):
        await it.fleet.start(f"member-{each}")
    async with it.under_load(width=2):
        await it.some_arrivals(10)
        cutter.active = True
        await it.until(lambda: cutter.cuts >= times, f"{times} cuts", seconds=60 + 2 * times)
        cutter.active = False
    it.figures.faults(f"{cutter.cuts} cuts")
    await it.settle()


async def backends_terminated(it: Play, seconds: int) -> None:
    """Every second all connections to the database are ended by its server."""
    for each in range(2):
        await it.fleet.start(f"member-{each}")
    ended = 0
    async with it.under_load(width=2):
        for _ in range(seconds):
            await it.some_arrivals(1)
            await asyncio.sleep(1)  # the pace of the faults
            ended += await terminate_backends(it.database_url)
    it.figures.faults(f"{ended} connections ended, in {seconds} rounds")
    assert ended
    await it.settle()


async def database_stopped(it: Play, server: PrivatePostgreSQL, *down_seconds: float) -> None:
    """The database is stopped at once, is away for so long, and comes back with what was committed."""
    for each in range(2):
        it.fleet.keep(await it.fleet.start(f"member-{each}"))
    async with it.under_load(width=2):
        for seconds in down_seconds:
            await it.some_arrivals(30)
            await server.stop_immediately()
            await asyncio.sleep(seconds)
            await server.start()
            await it.some_arrivals(5)
    it.figures.faults("away for " + ", ".join(f"{seconds:g} s" for seconds in down_seconds))
    await it.settle()


async def bus_disturbed(it: Play, act: Act, times: int, what: str) -> None:
    """Something is done to RabbitMQ under load, again and again."""
    for each in range(2):
        it.fleet.keep(await it.fleet.start(f"member-{each}"))
    async with it.under_load(width=2):
        for _ in range(times):
            await it.some_arrivals(10)
            await act()
        await it.some_arrivals(10)
    it.figures.faults(what)
    await it.settle()


async def killed_and_started(node: PrivateRabbit) -> None:
    """Kill RabbitMQ and start it anew."""
    await node.kill()
    await node.start()


async def connections_closed(node: PrivateRabbit) -> None:
    """Close every connection there is, those of senders and subscribers among them."""
    await node.control("close_all_connections", "the tests close it")


async def memory_alarm(node: PrivateRabbit, seconds: float) -> None:
    """Let RabbitMQ run short of memory: it takes nothing from whoever publishes, for so long."""
    watermark = "vm_memory_monitor:set_vm_memory_high_watermark"
    await node.control("eval", f"{watermark}(0.00001), timer:sleep({seconds * 1000:.0f}), {watermark}(0.4).")


async def queue_full(it: Play, node: PrivateRabbit, backlog: int) -> None:
    """A Supplier is away, and its queue takes no more; what does not fit waits in the outbox, and comes in order."""
    queue = f"alerts.{BETA}"
    definition = '{"max-length": 5, "overflow": "reject-publish"}'
    it.subscribers.paused.add(queue)
    await it.subscribers.reconnect()
    await node.control("set_policy", "full", f"^{queue}$", definition, "--apply-to", "queues")
    await it.until(lambda: _waits(it, BETA, backlog), f"{backlog} alerts of {BETA} wait in the outbox")
    it.subscribers.paused.clear()
    await it.subscribers.reconnect()
    await node.control("clear_policy", "full")


async def _waits(it: Play, recipient: str, count: int) -> bool:
    return await unfinished(it.database_url, recipient) >= count


async def leader_killed(it: Play, nodes: Sequence[PrivateRabbit]) -> None:
    """Kill the node that leads the request queue, see the others go on, and start it anew."""
    living = next(node for node in nodes if node.running)
    name = await living.leader_of("chfw.requests")
    leader = next(node for node in nodes if node.name == name)
    await leader.kill()
    await it.some_arrivals(20)
    await leader.start()
    await it.until(lambda: _in_step(leader), f"{leader.name} is in the cluster again")


async def _in_step(node: PrivateRabbit) -> bool:
    return await node.members_online("chfw.requests") == 3


async def request_queue_deleted(it: Play) -> None:
    """The request queue is deleted, with what lies in it, and declared anew; clients that hear nothing ask again."""
    members = [await it.fleet.start(f"member-{each}") for each in range(2)]
    async with it.under_load(width=2):
        await it.until(lambda: all(member.ready for member in members), "both consume")
        await it.some_arrivals(10)
        async with it.channel() as channel:
            await channel.queue_delete("chfw.requests")
        # RabbitMQ 3.10 does not tell a consumer, ever, if the quorum queue is declared anew within milliseconds.
        await it.until(lambda: all(member.says("was deleted") for member in members), "both notice")
        await it.declare()
        await it.some_arrivals(30)
    it.figures.faults("once, with what lay in it")
    await it.settle()


async def alerts_unroutable(it: Play) -> None:
    """A Supplier's alerts find no queue: they are kept in `chfw.unrouted`; without that they wait in the outbox."""
    for each in range(2):
        await it.fleet.start(f"member-{each}")
    binding, spare = ("chfw.alerts", f"{BETA}.*"), ("chfw.unrouted", "#")
    async with it.under_load(width=2), it.channel() as channel:
        queue = await channel.get_queue(f"alerts.{BETA}", ensure=False)
        unrouted = await channel.get_queue("chfw.unrouted", ensure=False)
        await it.some_arrivals(10)
        await queue.unbind(*binding)
        await it.until(lambda: it.lies_in("chfw.unrouted", 10), "alerts are kept in chfw.unrouted")
        await unrouted.unbind(*spare)
        await it.until(lambda: _waits(it, BETA, 10), "later ones wait in the outbox")
        await queue.bind(*binding)
        await unrouted.bind(*spare)
    await it.rest()
    kept = await drain(it.rabbit_url(), "chfw.unrouted")
    for octets in kept:
        it.ledger.kept(octets)
    it.figures.faults(f"{len(kept)} kept in chfw.unrouted, later ones held in the outbox")
    await it.settle()


async def clock_jumps(it: Play, file: Path, times: int) -> None:
    """The clock of all processes jumps ahead by hours and back; a relay dies in what is then the future."""

    def clock(ahead_seconds: int) -> None:
        new = file.with_suffix(".new")
        new.write_text(str(ahead_seconds))
        new.replace(file)  # at once: processes read it all the time

    clock(0)
    settings = {"CHFW_SR_TEST_CLOCK": str(file)}
    await it.fleet.start("steady", **settings)
    victim = await it.fleet.start("victim", *RELAY, **settings)
    async with it.under_load(width=2):
        for turn in range(times):
            await it.some_arrivals(20)
            clock(3600 * (turn + 1))
            await it.some_arrivals(10)
            await it.fleet.terminate(victim)
            await it.fleet.restart(victim, CHFW_SR_TEST_STRIKE="publish:1")
            await it.fleet.ended(victim)
            clock(1)
            await it.some_arrivals(20)
            await it.fleet.restart(victim)
    it.figures.faults(f"{times} jumps ahead by up to {times} h, and back with a relay killed before")
    await it.settle()


async def hot_recipient(it: Play, arrivals: int) -> None:
    """Two relays, and one Supplier to whom most alerts go."""
    for each in range(2):
        await it.fleet.start(f"worker-{each}", *WORKER)
        await it.fleet.start(f"relay-{each}", *RELAY)
    async with it.under_load(width=4):
        await it.until(lambda: len(it.ledger.arrivals) >= arrivals, f"{arrivals} arrivals", seconds=600)
    told = sum(each.recipient == BETA for each in it.ledger.alerts)
    it.figures.faults(f"none; {told} alerts to one Supplier")
    await it.settle()


async def many_writers(it: Play, seconds: float, *, every: tuple[float, float], seed: int = 1) -> None:
    """Four processes write to one file, and are killed at random."""
    chance = random.Random(seed)
    members = [await it.fleet.start(f"writer-{each}") for each in range(4)]
    for member in members:
        it.fleet.keep(member)
    async with it.under_load(width=2):
        await it.some_arrivals(10)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(chance.uniform(*every))  # the pace of the faults
            it.fleet.kill(chance.choice(members))
    it.figures.faults(f"{it.fleet.kills} random kills in {seconds:.0f} s")
    await it.settle()


async def every_trouble(it: Play, node: PrivateRabbit) -> None:
    """What RabbitMQ can do to us while it stays up, once and briefly."""
    await connections_closed(node)
    await it.some_arrivals(10)
    await memory_alarm(node, 1)
    await it.some_arrivals(10)
    await queue_full(it, node, 10)
