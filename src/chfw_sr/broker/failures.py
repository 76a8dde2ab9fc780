"""What happens to connections, in the service's terms and in words."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from chfw_sr.unavailable import Unavailable

if TYPE_CHECKING:
    from .connection import Server


@contextmanager
def unavailable_if_lost(server: "Server | str" = "RabbitMQ") -> Iterator[None]:
    """Make `Unavailable` of what the client library raises about a connection or channel that is gone.

    Args:
        server: for the text.

    Raises:
        Unavailable: naming the server and the reason.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Unavailable(f"{server}: the connection was lost") from None
    except CONNECTION_EXCEPTIONS as error:
        raise Unavailable(f"{server}: {describe(error)}") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise Unavailable(f"{server}: the connection was closed") from None  # the library's word for it


def describe(error: BaseException) -> str:
    """Give an error of the client library in words."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def why(closing: "asyncio.Future[Any]") -> str:
    """Say why a connection or channel ended, once it has."""
    error = None if closing.cancelled() else closing.exception()
    return describe(error) if error else "closed"
