"""RabbitMQ: the consumer and the publisher of the service's ports (wire contract §7).

The rules:

- Consumer and publisher have a connection each, because RabbitMQ stops reading from connections that publish when it
  runs short of memory, and acknowledgements must get through then.
- A lost channel takes everything unacknowledged with it: the server delivers that anew, on a new channel with new tags.
  A tag of ours is unique for the consumer's life, so an old one can never acknowledge something new.
- A message is CONFIRMED only if the server said so. Whatever else happens to it is FAILED, and may have arrived.
- After a timeout the connection is suspect, because a late answer might be taken for the answer to a repetition of the
  same message: it is cut, what was under way is FAILED, what was not sent yet is not sent, and the next call connects
  anew. The same after a cancelled or lost call.
- In which order messages leave and how many may be under way stands in `pipeline`.

Here they are made with aio-pika; `lean` has others that keep the same rules at a fraction of the cost.

The consumer uses the client library one floor below its surface, where the notice that a queue was deleted and the
acknowledgement of many at once are to be had.
"""

from .connection import Server
from .consumer import RabbitConsumer
from .publisher import RabbitPublisher

__all__ = ["RabbitConsumer", "RabbitPublisher", "Server"]
