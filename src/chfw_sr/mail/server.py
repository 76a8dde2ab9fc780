"""How to reach the SMTP server, and one connection to it.

The rules:

- TLS unless it is switched off by name: from the first octet (`smtps`), or by STARTTLS before anything else is said
  (`smtp`). A server that offers no STARTTLS is not spoken to. Certificate and name are always checked.
- A password never travels without TLS.
- A server that hangs cannot hold us up: connecting and each mail have a time for all that they take, not for each line.
- What a server says may hold an address; so nothing of it is passed on but its code.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from chfw_sr.tls import checking_context
from chfw_sr.unavailable import Unavailable

PORTS = {"smtp": 587, "smtps": 465}
"""Schemes that are understood, with their usual ports."""

CLOSING = 421
"""The server ends the connection; says nothing about the mail (RFC 5321 §3.8)."""

FIRST_PERMANENT = 500

GOODBYE_SECONDS = 2.0
"""How long a server may take to say goodbye."""

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")


class Tls(StrEnum):
    """When encryption begins."""

    IMPLICIT = "implicit"
    STARTTLS = "starttls"
    OFF = "off"


class MailRefused(Exception):  # noqa: N818 - it names what happened
    """The server does not take this mail, now or at all; the connection is as good as before.

    Attributes:
        permanent: True for 5xx: the same mail will hardly be taken later, unless somebody does something.
    """

    def __init__(self, code: int, text: str) -> None:
        enhanced = _ENHANCED.match(text)
        super().__init__(f"{code} {enhanced[0]}" if enhanced else str(code))
        self.permanent = code >= FIRST_PERMANENT


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where the SMTP server is and how to reach it. Made by `MailServer.parse`; its text shows no secret.

    Attributes:
        host: its name, which its certificate must bear.
        port: TCP.
        tls: when encryption begins.
        context: whom to believe; None without TLS.
        username: None where nobody has to log in.
        password: a secret.
        timeout_seconds: for connecting and logging in, and for each mail.
    """

    host: str
    port: int
    tls: Tls
    context: ssl.SSLContext | None = field(repr=False, default=None)
    username: str | None = field(repr=False, default=None)
    password: str = field(repr=False, default="")
    timeout_seconds: float = 60.0

    @classmethod
    def parse(cls, url: str, *, ca_file: Path | None = None, timeout_seconds: float = 60.0) -> Self:
        """Read a URL such as `smtps://user:password@mail.example` or `smtp://mail.example:587`.

        Args:
            url: scheme `smtps` (TLS from the first octet) or `smtp` (STARTTLS); `smtp://…?tls=off` has no TLS.
            ca_file: PEM file of the authorities that may vouch for the server; else those of the machine.
            timeout_seconds: for connecting, and for each mail.

        Raises:
            ValueError: saying what is wrong, without the URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("not a URL (is a character of the password not percent-encoded?)") from None
        if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.fragment:
            raise ValueError("not the URL of an SMTP server (smtps://USER:PASSWORD@HOST:PORT, or smtp:// for STARTTLS)")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if options not in ({}, {"tls": "off"}) or (options and parts.scheme == "smtps"):
            raise ValueError("the only parameter of the URL is tls=off, of an smtp:// one")
        tls = Tls.OFF if options else Tls.IMPLICIT if parts.scheme == "smtps" else Tls.STARTTLS
        if tls is Tls.OFF and (parts.username or ca_file):
            raise ValueError("tls=off, and a password or an authority's file: a password does not travel without TLS")
        return cls(
            host=parts.hostname,
            port=port or PORTS[parts.scheme],
            tls=tls,
            context=None if tls is Tls.OFF else _context(ca_file),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password or ""),
            timeout_seconds=timeout_seconds,
        )

    def __str__(self) -> str:
        return f"{self.host}:{self.port} (TLS {self.tls})"

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """Connect, log in, and say goodbye in the end.

        Raises:
            Unavailable: if the server is away, hangs, cannot be believed, or does not let us in.
        """
        client = SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password if self.username else None,
            timeout=self.timeout_seconds,
            use_tls=self.tls is Tls.IMPLICIT,
            start_tls=self.tls is Tls.STARTTLS,
            tls_context=self.context,
        )
        try:
            with _unavailable(self):
                async with asyncio.timeout(self.timeout_seconds):
                    await client.connect()
            yield Session(self, client)
            await _say_goodbye(client)
        finally:
            client.close()


class Session:
    """A connection to the server, which takes one mail after the other.

    Args:
        server: which.
        client: connected.
    """

    def __init__(self, server: MailServer, client: SMTP) -> None:
        self._server = server
        self._client = client

    async def send(self, sender: str, recipient: str, octets: bytes) -> None:
        """Send one mail to one recipient; when this returns, the server has answered for it.

        Args:
            sender: where a mail that cannot be delivered goes back to.
            recipient: an address.
            octets: header and body, in lines that end with CR LF.

        Raises:
            MailRefused: if the server does not take it, for this recipient or from us.
            Unavailable: if the connection was lost or the server hangs; it may or may not have taken the mail. Nothing
                more can be sent here.
        """
        with _unavailable(self._server):
            async with asyncio.timeout(self._server.timeout_seconds):
                try:
                    await self._client.mail(sender)
                    await self._client.rcpt(recipient)
                    await self._client.data(octets)
                except SMTPResponseException as error:
                    if error.code == CLOSING or not self._client.is_connected:
                        raise
                    await self._client.rset()
                    raise MailRefused(error.code, error.message) from None


@contextmanager
def _unavailable(server: MailServer) -> Iterator[None]:
    try:
        yield
    except SMTPResponseException as error:
        raise Unavailable(f"{server}: {type(error).__name__} {error.code}") from None
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(f"{server}: its certificate: {error.verify_message}") from None
    except TimeoutError:
        raise Unavailable(f"{server}: no answer within {server.timeout_seconds:g} s") from None
    except (SMTPException, OSError, EOFError) as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise Unavailable(f"{server}: its certificate: {cause.verify_message}") from None
        raise Unavailable(f"{server}: {type(error).__name__}") from None


async def _say_goodbye(client: SMTP) -> None:
    try:
        async with asyncio.timeout(GOODBYE_SECONDS):
            await client.quit()
    except (SMTPException, OSError, EOFError):
        pass  # whatever was sent is answered for


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return checking_context(ca_file)
    except OSError as error:  # also what is wrong inside the file
        raise ValueError(f"the authorities' file {ca_file}: {error.strerror or error}") from None
