"""A TCP proxy on loopback that can cut, hold and inject: what a network does to a connection."""

import asyncio
import ssl
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from chfw_sr.broker.connection import PORTS


class Proxy:
    """Stands before a server.

    Args:
        url: of the server.
        tls: what the proxy shows to clients, or None for plain TCP; the server is spoken to in plain TCP in any case.
    """

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._target = urlsplit(url)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._to_client: list[asyncio.StreamWriter] = []
        self._to_server: list[asyncio.StreamWriter] = []
        self._gates = {"to client": asyncio.Event(), "to server": asyncio.Event()}
        self._refusing = False
        self._held = asyncio.Event()
        self.release()
        self.connections = 0
        self.sent_octets = 0
        self.cuts = 0
        self._fuses: Iterator[int] = iter(())
        self._fuse: int | None = None

    @property
    def url(self) -> str:
        """The server's URL, through the proxy."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        user, _, _ = self._target.netloc.rpartition("@")
        scheme = "amqps" if self._tls else "amqp"
        return self._target._replace(scheme=scheme, netloc=f"{user}@127.0.0.1:{port}").geturl()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Cut every connection, in both directions, at once."""
        for writer in self._writers:
            writer.transport.abort()
        self.release()

    def cut_after(self, fuses: Iterable[int]) -> None:
        """Cut whenever so many octets have passed, in either direction, in the middle of whatever that is.

        Args:
            fuses: octets, one number for each cut.
        """
        self._fuses = iter(fuses)
        self._fuse = next(self._fuses, None)

    def refuse(self, *, refusing: bool = True) -> None:
        """Accept connections, but cut them at once; or no longer."""
        self._refusing = refusing

    def hold_answers(self) -> None:
        """Let nothing of what the server says through, from now on."""
        self._gates["to client"].clear()

    def hold_requests(self) -> None:
        """Let nothing of what clients say through, from now on."""
        self._gates["to server"].clear()

    async def held(self) -> None:
        """Wait until something is held back that would have gone to the server."""
        await self._held.wait()

    def release(self) -> None:
        """Let through what was held, and what comes."""
        self._held.clear()
        for gate in self._gates.values():
            gate.set()

    def tell_client(self, octets: bytes) -> None:
        """Say something to the newest client in the server's name."""
        self._to_client[-1].write(octets)

    def tell_server(self, octets: bytes) -> None:
        """Say something to the server in the newest client's name."""
        self._to_server[-1].write(octets)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refusing:
            writer.transport.abort()
            return
        upstream, server = await asyncio.open_connection(
            self._target.hostname, self._target.port or PORTS[self._target.scheme]
        )
        self._writers |= {writer, server}
        self._to_client.append(writer)
        self._to_server.append(server)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(upstream, writer, "to client"))
                group.create_task(self._pump(reader, server, "to server"))
        finally:
            self._writers -= {writer, server}

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: str) -> None:
        try:
            while octets := await source.read(2**16):
                if direction == "to server" and not self._gates[direction].is_set():
                    self._held.set()
                await self._gates[direction].wait()
                if direction == "to server":
                    self.sent_octets += len(octets)
                if self._fuse is not None and len(octets) >= self._fuse:
                    sink.write(octets[: self._fuse])
                    await sink.drain()
                    self.cuts += 1
                    self._fuse = next(self._fuses, None)
                    self.cut()
                    return
                self._fuse = None if self._fuse is None else self._fuse - len(octets)
                sink.write(octets)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()
