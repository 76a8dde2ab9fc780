"""How to reach RabbitMQ, and how aio-pika connects to it.

The rules:

- Whatever the client library raises about a connection is `Unavailable`. That includes a `CancelledError` that nobody
  asked for: the library ends what waits on a lost channel with one.
- Neither user nor password appears in a text.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.connection import make_url

from chfw_sr.keyfiles import ExposedKey, refuse_exposed
from chfw_sr.tls import checking_context

from .guard import GuardedReader
from .link import PacedLink

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

PORTS = {"amqp": 5672, "amqps": 5671}
"""Schemes that are understood, with their usual ports."""

TLS_OPTIONS = ("cafile", "certfile", "keyfile")
"""Query parameters of an `amqps` URL: PEM files."""

OPTIONS = {*TLS_OPTIONS, "auth", "heartbeat"}
"""Every query parameter that is understood: those, `auth` (`plain` or `external`) and `heartbeat` (seconds)."""

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
        context = checking_context(cafile)
        if certfile is not None:
            refuse_exposed(keyfile or certfile)
            context.load_cert_chain(certfile, keyfile)
    except (OSError, ExposedKey) as error:  # also ssl.SSLError
        raise ValueError(f"certificates for RabbitMQ: {error}") from error
    return context


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


class _AioPikaCall:
    """Connects by aio-pika; a `Call`."""

    def __init__(self, server: Server, purpose: str) -> None:
        self._server = server
        self._transport = _Transport(server)
        self._connection: aio_pika.Connection | None = None
        self._purpose = purpose

    async def connect(self) -> AbstractConnection:
        """Open the connection."""
        self._connection = aio_pika.Connection(
            make_url(self._server.url.geturl()),
            client_properties={"connection_name": f"{self._server.name} {self._purpose}"},
        )
        self._connection.kwargs["transport_factory"] = self._transport
        await self._connection.connect()
        return self._connection

    async def hang_up(self) -> None:
        """Take leave of the peer."""
        if self._connection is not None:
            await self._connection.close()

    def cut(self) -> None:
        """End the connection without a word."""
        self._transport.cut()


class Link(PacedLink[AbstractConnection]):
    """A connection by aio-pika."""

    def _dial(self) -> _AioPikaCall:
        return _AioPikaCall(self.server, self.purpose)
