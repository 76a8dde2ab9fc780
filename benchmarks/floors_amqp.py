"""Floors of RabbitMQ: raw frames on one socket, against one quorum queue, and against as many as Users have.

A message costs the server more where the next one goes to another queue: each of them is a Raft group of its own. Those
of the usual mix go to two queues of each of 41 Users; the best way to publish them is many in flight, and those of one
queue in a row.

They go through topic exchanges, with the keys and the bindings of the wire contract (§7): nobody who publishes straight
into a queue reaches those who bind another one. What that costs is measured beside it, and is in no sum.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from .cpu import Meter
from .figures import figure
from .floors import CONSUME, PUBLISH, SPREAD, SPREAD_STRAIGHT, STRAIGHT, Floor
from .frames import Link, Message
from .servers import Servers

OCTETS = 1500
IN_FLIGHT = 500
PREFETCH = 200
ACKNOWLEDGED_AT_ONCE = 100
USERS = 41
SPREAD_IN_FLIGHT = 1000
EXCHANGES = ("bench.floor.alerts", "bench.floor.responses")


def measure(servers: Servers, meter: Meter, *, repetitions: int, count: int) -> dict[str, Floor]:
    """Publish and consume persistent messages of 1.5 KB.

    Args:
        servers: whose RabbitMQ.
        meter: of the servers.
        repetitions: how often.
        count: messages each time.
    """
    routes = [route for number in range(USERS) for route in _routes(number)]
    in_a_row = SPREAD_IN_FLIGHT // len(routes)
    messages = [Message("", "", f"{number:024}", "N64", b"x" * OCTETS) for number in range(count)]
    alone = [(one, routes[0]) for one in messages]
    spread = [(one, routes[place // in_a_row % len(routes)]) for place, one in enumerate(messages)]
    spent: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in (STRAIGHT, PUBLISH, CONSUME, SPREAD_STRAIGHT, SPREAD)
    }

    def note(name: str, began: float, broker: float) -> None:
        spent[name][0].append((time.process_time() - began) / count * 1e6)
        spent[name][1].append(broker / count * 1e6)

    with Link(servers.rabbitmq.url) as link, _made(link, routes):

        def publish(name: str, dealt: Sequence[tuple[Message, _Route]], in_flight: int) -> None:
            straight = name in {STRAIGHT, SPREAD_STRAIGHT}
            ready = [
                replace(one, key=to.queue) if straight else replace(one, exchange=to.exchange, key=to.key)
                for one, to in dealt
            ]
            stop, began = meter.start(), time.process_time()
            link.publish(ready, int(time.time()), in_flight=in_flight)
            note(name, began, stop().cpu["RabbitMQ"])

        for _ in range(repetitions):
            publish(STRAIGHT, alone, IN_FLIGHT)
            link.purge(routes[0].queue)
            publish(PUBLISH, alone, IN_FLIGHT)
            with Link(servers.rabbitmq.url) as taker:
                stop, began = meter.start(), time.process_time()
                for _delivered in taker.take(routes[0].queue, count, PREFETCH):
                    pass
                note(CONSUME, began, stop().cpu["RabbitMQ"])
            for name in (SPREAD_STRAIGHT, SPREAD):
                publish(name, spread, SPREAD_IN_FLIGHT)
                for each in routes:
                    link.purge(each.queue)
    return {name: Floor(figure(client, "µs"), figure(broker, "µs")) for name, (client, broker) in spent.items()}


@dataclass(frozen=True, slots=True)
class _Route:
    """A User's queue, and how messages come there."""

    queue: str
    exchange: str
    pattern: str
    key: str


def _routes(number: int) -> Iterator[_Route]:
    """Give a User's two queues."""
    eui = f"90-B3-D5-1F-30-01-00-{number:02X}"
    alerts, responses = EXCHANGES
    yield _Route(f"{alerts}.{eui}", alerts, f"{eui}.*", f"{eui}.N64")
    yield _Route(f"{responses}.{eui}", responses, eui, eui)


@contextmanager
def _made(link: Link, routes: Sequence[_Route]) -> Iterator[None]:
    for exchange in EXCHANGES:
        link.declare_topic(exchange)
    for each in routes:
        link.declare(each.queue)
        link.bind(each.queue, each.exchange, each.pattern)
    yield
    for each in routes:
        link.delete(each.queue)
    for exchange in EXCHANGES:
        link.delete_exchange(exchange)
