"""Floors of RabbitMQ: raw frames on one socket, against one quorum queue, and against as many as Users have.

A message costs the server more where the next one goes to another queue: each of them is a Raft group of its own. Those
of the usual mix go to two queues of each of 41 Users; the best way to publish them is many in flight, and those of one
queue in a row.
"""

import time
from dataclasses import replace

from .cpu import Meter
from .figures import figure
from .floors import CONSUME, PUBLISH, SPREAD, Floor
from .frames import Link, Message
from .servers import Servers

OCTETS = 1500
IN_FLIGHT = 500
PREFETCH = 200
ACKNOWLEDGED_AT_ONCE = 100
QUEUES = 82
SPREAD_IN_FLIGHT = 1000


def measure(servers: Servers, meter: Meter, *, repetitions: int, count: int) -> dict[str, Floor]:
    """Publish and consume persistent messages of 1.5 KB.

    Args:
        servers: whose RabbitMQ.
        meter: of the servers.
        repetitions: how often.
        count: messages each time.
    """
    queue = "bench.floor"
    queues = [f"bench.floor.{number}" for number in range(QUEUES)]
    in_a_row = SPREAD_IN_FLIGHT // QUEUES
    messages = [Message("", queue, f"{number:024}", "N64", b"x" * OCTETS) for number in range(count)]
    spread = [replace(each, key=queues[place // in_a_row % QUEUES]) for place, each in enumerate(messages)]
    spent: dict[str, tuple[list[float], list[float]]] = {PUBLISH: ([], []), SPREAD: ([], []), CONSUME: ([], [])}

    def note(name: str, began: float, broker: float) -> None:
        spent[name][0].append((time.process_time() - began) / count * 1e6)
        spent[name][1].append(broker / count * 1e6)

    with Link(servers.rabbitmq.url) as link:
        for each in (queue, *queues):
            link.declare(each)
        for _ in range(repetitions):
            stop, began = meter.start(), time.process_time()
            link.publish(messages, int(time.time()), in_flight=IN_FLIGHT)
            note(PUBLISH, began, stop().cpu["RabbitMQ"])
            with Link(servers.rabbitmq.url) as taker:
                stop, began = meter.start(), time.process_time()
                for _delivered in taker.take(queue, count, PREFETCH):
                    pass
                note(CONSUME, began, stop().cpu["RabbitMQ"])
            link.purge(queue)
            stop, began = meter.start(), time.process_time()
            link.publish(spread, int(time.time()), in_flight=SPREAD_IN_FLIGHT)
            note(SPREAD, began, stop().cpu["RabbitMQ"])
            for each in queues:
                link.purge(each)
        for each in (queue, *queues):
            link.delete(each)
    return {name: Floor(figure(client, "µs"), figure(broker, "µs")) for name, (client, broker) in spent.items()}
