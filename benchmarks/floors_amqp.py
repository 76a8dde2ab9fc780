"""Floors of RabbitMQ: raw frames on one socket, against one quorum queue."""

import time

from .cpu import Meter
from .figures import figure
from .floors import CONSUME, PUBLISH, Floor
from .frames import Link, Message
from .servers import Servers

OCTETS = 1500
IN_FLIGHT = 500
PREFETCH = 200
ACKNOWLEDGED_AT_ONCE = 100


def measure(servers: Servers, meter: Meter, *, repetitions: int, count: int) -> dict[str, Floor]:
    """Publish and consume persistent messages of 1.5 KB.

    Args:
        servers: whose RabbitMQ.
        meter: of the servers.
        repetitions: how often.
        count: messages each time.
    """
    queue = "bench.floor"
    messages = [Message("", queue, f"{number:024}", "N64", b"x" * OCTETS) for number in range(count)]
    spent: dict[str, tuple[list[float], list[float]]] = {PUBLISH: ([], []), CONSUME: ([], [])}

    def note(name: str, began: float, broker: float) -> None:
        spent[name][0].append((time.process_time() - began) / count * 1e6)
        spent[name][1].append(broker / count * 1e6)

    with Link(servers.rabbitmq.url) as link:
        link.declare(queue)
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
        link.delete(queue)
    return {name: Floor(figure(client, "µs"), figure(broker, "µs")) for name, (client, broker) in spent.items()}
