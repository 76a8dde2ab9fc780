"""A real SMTP server in the process of the test, which refuses, breaks off and hangs as it is told to."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from chfw_sr.mail.server import MailServer

OK = "250 OK"
USER, PASSWORD = "chfw", "p@ss/w:rd"
URL_PASSWORD = "p%40ss%2Fw%3Ard"


@dataclass
class Office:
    """What the server does with the next mails; each answer is used once, then all goes well again.

    `Cut` in place of an answer breaks the connection off.
    """

    rcpt: dict[str, list[str]] = field(default_factory=dict)
    data: list[object] = field(default_factory=list)
    mails: list[Envelope] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    sessions: int = 0
    taken: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802
        answers = self.rcpt.get(address)
        if answers:
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return OK

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802
        answer = self.data.pop(0) if self.data else OK
        if answer is CUT:
            server.transport.abort()
            return OK
        if answer is TAKE_AND_CUT:
            self.mails.append(envelope)
            server.transport.abort()
            return OK
        if isinstance(answer, asyncio.Event):
            await answer.wait()
            return OK
        if answer.startswith("2"):
            self.mails.append(envelope)
            self.taken.set()
        return answer

    def read(self) -> list[EmailMessage]:
        """Give what was taken, parsed."""
        return [message_from_bytes(each.content, policy=policy.default) for each in self.mails]

    def login(self, server, session, envelope, mechanism, data) -> AuthResult:
        self.logins.append(data.password)
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=right)


CUT, TAKE_AND_CUT = object(), object()


@asynccontextmanager
async def serving(office: Office, tls: ssl.SSLContext | None = None, *, starttls: bool = False, auth: bool = False):
    """Serve; gives the port."""

    served: list[SMTP] = []

    def protocol() -> SMTP:
        office.sessions += 1
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # it cannot see TLS from the first octet
            one = SMTP(
                office,
                tls_context=tls if starttls else None,
                require_starttls=starttls,
                auth_required=auth,
                auth_require_tls=starttls,
                authenticator=office.login if auth else None,
                loop=asyncio.get_running_loop(),
            )
        served.append(one)
        return one

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=None if starttls else tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _abort(transport for one in served for transport in (one.transport, one._original_transport))


@asynccontextmanager
async def mute() -> AsyncIterator[int]:
    """Serve connections and never say a word; gives the port."""

    silent: list[_Silent] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: silent.append(_Silent()) or silent[-1], "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _abort(one.transport for one in silent)


class _Silent(asyncio.Protocol):
    transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


async def _abort(transports) -> None:
    for transport in transports:
        if transport is not None:
            with suppress(AttributeError):  # closed twice, an SSL transport of early Python 3.11 has nothing to abort
                transport.abort()
    for _ in range(3):  # whoever was aborted hears of it in one of the next rounds
        await asyncio.sleep(0)


def plain(port: int, **fields) -> MailServer:
    return MailServer.parse(f"smtp://127.0.0.1:{port}?tls=off", **fields)


@cache
def certificate(host: str) -> tuple[bytes, bytes]:
    """Make a certificate that vouches for itself, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ip_address("127.0.0.2"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM), pem


def tls_of(folder: Path, host: str = "localhost") -> tuple[ssl.SSLContext, Path]:
    """Give the server's side of TLS, and the file of the authority to believe."""
    pem, key = certificate(host)
    authority = folder / f"{host}.pem"
    authority.write_bytes(pem)
    (folder / f"{host}.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, folder / f"{host}.key")
    return context, authority
