"""RabbitMQ without a client library's cost: what consumer and publisher need of AMQP 0-9-1, and no more.

Why: a client library makes an object, a future and a task of every frame, and a write of every message. At thousands of
messages a second that is most of what the service does. Here messages are frames in one buffer, written and read in
bulk; answers are numbers in a dictionary.

    frames      octets ↔ the few frames that come a thousand times a second; the others are pamqp's
    connection  one socket: handshake, heartbeats, channels, the end
    publisher   many messages in one write, confirms in bulk
    consumer    deliveries in bulk, acknowledgement of many at once

The rules of `rabbitmq` hold here as well. A peer is not trusted: sizes are bounded before anything is kept, whatever
does not belong where it comes ends the connection, and the error says what and where.

Source: AMQP 0-9-1 specification, and RabbitMQ's extensions of it (confirms, Basic.Nack, consumer cancel notification,
Connection.Blocked).
"""

from .consumer import LeanConsumer
from .publisher import LeanPublisher

__all__ = ["LeanConsumer", "LeanPublisher"]
