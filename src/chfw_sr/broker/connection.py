"""How to reach RabbitMQ, and one connection that is opened when it is needed and thrown away when it is suspect.

The rules:

- Nothing connects before it is asked to. A lost connection is opened again on the next use, never behind anyone's back.
- Attempts are paced: after a failure the next one waits, twice as long each time up to a bound.
- Whatever the client library raises about a connection is `Unavailable`. That includes a `CancelledError` that nobody
  asked for: the library ends what waits on a lost channel with one.
- A peer that does not answer cannot hold us up: hanging up takes a bounded time, then the socket is cut.
- Neither user nor password appears in a text.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.connection import make_url
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from chfw_sr.keyfiles import ExposedKey, refuse_exposed
from chfw_sr.unavailable import Unavailable

from .guard import GuardedReader

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

PORTS = {"amqp": 5672, "amqps": 5671}
"""Schemes that are understood, with their usual ports."""

TLS_OPTIONS = ("cafile", "certfile", "keyfile")
"""Query parameters of an `amqps` URL: PEM files."""

OPTIONS = {*TLS_OPTIONS, "auth", "heartbeat"}
"""Every query parameter that is understood: those, `auth` (`plain` or `external`) and `heartbeat` (seconds)."""

HANG_UP_SECONDS = 2.0
"""How long a peer may take to agree to the end of a connection, before the socket is cut."""

READ_BUFFER_OCTETS = 2**20


@dataclass(frozen=True, slots=True)
class Server:
    """Where RabbitMQ is and how to reach it. Made by `Server.parse`; its text shows neither user nor password.

    Attributes:
        url: with user and password; a secret.
        context: TLS, or None for plain TCP.
        name: what the server's operators see of each connection, followed by its purpose.
        timeout_seconds: for one attempt to connect and to set up what is needed.
    """

    url: SplitResult = field(repr=False)
    context: ssl.SSLContext | None = field(repr=False, default=None)
    name: str = "chfw-sr"
    timeout_seconds: float = 10.0

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        ca_file: Path | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
        heartbeat_seconds: int = 15,
        name: str = "chfw-sr",
        timeout_seconds: float = 10.0,
    ) -> Self:
        """Read a URL such as `amqps://user:password@host:5671/vhost?cafile=ca.pem&certfile=me.pem&keyfile=me.key`.

        The server's certificate and name are always checked; without an authority, against those of the machine.

        Args:
            url: scheme `amqp` or `amqps`; the parameters are those of `OPTIONS`, and win over the arguments.
            ca_file: PEM file of the authorities that may vouch for the server.
            certificate: PEM file of this client's certificate.
            key: PEM file of its private key, where it is not in the same file.
            heartbeat_seconds: silence of twice this long, about, counts as a lost connection.
            name: what the server's operators see of each connection.
            timeout_seconds: for one attempt to connect.

        Raises:
            ValueError: saying what is wrong, without the URL.
        """
        parts = _split(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := options.keys() - OPTIONS:
            raise ValueError(f"unknown parameter in the URL of RabbitMQ: {', '.join(sorted(unknown))}")
        options = {"heartbeat": str(heartbeat_seconds)} | options
        files = dict(zip(TLS_OPTIONS, (ca_file, certificate, key), strict=True))
        files |= {option: Path(options.pop(option)) for option in TLS_OPTIONS if option in options}
        context = None
        if parts.scheme == "amqps":
            context = _tls(**files)
        elif any(files.values()):
            raise ValueError("certificates are for an amqps URL; this one is amqp")
        return cls(parts._replace(query=urlencode(options)), context, name, timeout_seconds)

    def __str__(self) -> str:
        vhost = unquote(self.url.path[1:]) or "/"
        return f"{self.url.scheme}://{self.url.hostname}:{self.url.port or PORTS[self.url.scheme]} (vhost {vhost})"

    @asynccontextmanager
    async def session(self, purpose: str) -> AsyncIterator[AbstractConnection]:
        """Connect once, for a short while; closed in the end.

        Args:
            purpose: what the server's operators see of it.

        Raises:
            Unavailable: if there is no connection to be had, or it was lost.
        """
        link = Link(self, purpose)
        try:
            yield await link.open(_itself)
        finally:
            await link.close()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValueError("the URL of RabbitMQ cannot be read") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("not the URL of a RabbitMQ (amqp://USER:PASSWORD@HOST/VHOST, or amqps://)")
    return parts


def _tls(*, cafile: Path | None, certfile: Path | None, keyfile: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cafile)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # whatever the system's default is
        if certfile is not None:
            refuse_exposed(keyfile or certfile)
            context.load_cert_chain(certfile, keyfile)
    except (OSError, ExposedKey) as error:  # also ssl.SSLError
        raise ValueError(f"certificates for RabbitMQ: {error}") from error
    return context


@contextmanager
def unavailable_if_lost(server: Server | str = "RabbitMQ") -> Iterator[None]:
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


async def _itself(connection: AbstractConnection) -> AbstractConnection:
    return connection


class _Transport:
    """Opens the socket of one connection, for the client library, and can cut it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, *_: Any, **__: Any) -> tuple[GuardedReader, asyncio.StreamWriter]:
        """Connect; where to is known already."""
        url = self._server.url
        reader, self._writer = await asyncio.open_connection(
            url.hostname, url.port or PORTS[url.scheme], ssl=self._server.context, limit=READ_BUFFER_OCTETS
        )
        return GuardedReader(reader), self._writer

    def cut(self) -> None:
        """End the connection without a word."""
        if self._writer is not None:
            self._writer.transport.abort()


class Link:
    """One connection for one purpose.

    Args:
        server: to whom.
        purpose: what the server's operators see of it.
        pause_seconds: after the first failed attempt to connect.
        longest_pause_seconds: between attempts; each is shortened by chance, so that not all come back at once.
    """

    def __init__(
        self, server: Server, purpose: str, *, pause_seconds: float = 0.1, longest_pause_seconds: float = 5.0
    ) -> None:
        self.server = server
        self._purpose = purpose
        self._pauses = (pause_seconds, longest_pause_seconds)
        self._failures = 0
        self._not_before = 0.0
        self._closed = asyncio.Event()
        self._connection: aio_pika.Connection | None = None
        self._transport = _Transport(server)

    async def open(self, set_up: Callable[[AbstractConnection], Awaitable[Result]]) -> Result:
        """Connect anew, when it is our turn, and set up what is needed; what was there before is dropped.

        Args:
            set_up: gets the new connection; what it gives is given back.

        Raises:
            Unavailable: if it did not work out, or the link was closed meanwhile.
        """
        await self.drop()
        await self._turn()
        try:
            with unavailable_if_lost(self.server):
                async with asyncio.timeout(self.server.timeout_seconds):
                    result = await set_up(await self._connect())
            self._check_open()
        except BaseException:
            self._failures += 1
            await self.drop()
            raise
        finally:
            self._not_before = asyncio.get_running_loop().time() + self._next_pause()
        self._failures = 0
        logger.info("%s: connected for %s", self.server, self._purpose)
        return result

    async def _connect(self) -> AbstractConnection:
        self._transport = _Transport(self.server)
        connection = self._connection = aio_pika.Connection(  # `close` may take it away meanwhile
            make_url(self.server.url.geturl()),
            client_properties={"connection_name": f"{self.server.name} {self._purpose}"},
        )
        connection.kwargs["transport_factory"] = self._transport
        await connection.connect()
        return connection

    async def drop(self) -> None:
        """Cut the connection, if there is one: what was under way on it is as good as lost."""
        self._transport.cut()
        await self._hang_up()

    async def close(self) -> None:
        """Hang up for good; who waits for a turn to connect is told."""
        self._closed.set()
        await self._hang_up()

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        closing = asyncio.ensure_future(connection.close())
        await asyncio.wait({closing}, timeout=HANG_UP_SECONDS)
        if not closing.done():
            self._transport.cut()
            await asyncio.wait({closing}, timeout=HANG_UP_SECONDS)
        if closing.done() and not closing.cancelled() and (error := closing.exception()):
            logger.debug("%s: hanging up: %s", self.server, describe(error))

    async def _turn(self) -> None:
        """Wait until the next attempt may be made."""
        self._check_open()
        seconds = self._not_before - asyncio.get_running_loop().time()
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._closed.wait()
            except TimeoutError:
                pass
            self._check_open()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise Unavailable(f"the {self._purpose} is closed")

    def _next_pause(self) -> float:
        first, longest = self._pauses
        return min(longest, first * 2.0 ** min(self._failures, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads
