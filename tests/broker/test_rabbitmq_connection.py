"""How RabbitMQ is reached: its URL, TLS, peers that are not RabbitMQ, and what must never be told."""

import asyncio
import datetime as dt
import ipaddress
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chfw_sr.broker.connection import Link
from chfw_sr.broker.failures import unavailable_if_lost
from chfw_sr.broker.rabbitmq import Server
from chfw_sr.service.ports import Unavailable
from tests.contract.buses import Client, RabbitUnderTest

from .proxy import Proxy

LONG = 30.0
"""Seconds that no test ever waits for in full."""
SHORT = 0.2
"""Seconds that a test does wait for: nothing comes."""
SECRET = "s3cret-w0rd"


# ------------------------------------------------------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("amqp://host", "amqp://host:5672 (vhost /)"),
        ("amqp://host/", "amqp://host:5672 (vhost /)"),
        ("amqp://user:word@host:1234/a%2Fb", "amqp://host:1234 (vhost a/b)"),
        ("amqps://user:word@host/v?heartbeat=5&auth=external", "amqps://host:5671 (vhost v)"),
    ],
)
def test_a_server_shows_where_it_is_and_no_more(url: str, text: str) -> None:
    assert str(Server.parse(url)) == text


def test_its_representation_keeps_the_secret() -> None:
    server = Server.parse(f"amqp://user:{SECRET}@host/")
    assert SECRET not in repr(server)
    assert "user" not in repr(server)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        (f"http://user:{SECRET}@host/", "not the URL of a RabbitMQ"),
        (f"amqp:user:{SECRET}@host", "not the URL of a RabbitMQ"),
        (f"amqp://user:{SECRET}@host:port/", "cannot be read"),
        (f"amqp://user:{SECRET}@[host/", "cannot be read"),
        (f"amqp://user:{SECRET}@host/?hartbeat=5", "unknown parameter.*hartbeat"),
        (f"amqps://user:{SECRET}@host/?no_verify_ssl=1", "unknown parameter.*no_verify_ssl"),
        (f"amqp://user:{SECRET}@host/?cafile=ca.pem", "amqps"),
        (f"amqps://user:{SECRET}@host/?cafile=does-not-exist.pem", "certificates"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as raised:
        Server.parse(url)
    assert SECRET not in str(raised.value)


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(ValueError, match="certificates"):
        Server.parse("amqps://host/", certificate=nonsense)


def test_the_servers_certificate_and_name_are_always_checked() -> None:
    context = Server.parse("amqps://host/").context
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


# ------------------------------------------------------------------------------------------------- peers and failures


@asynccontextmanager
async def peer(behave: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]) -> AsyncIterator[Server]:
    """Listen on loopback, and do to every client whatever is asked for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behave(reader, writer)
        await reader.read()
        writer.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = listening.sockets[0].getsockname()[1]
        yield Server.parse(f"amqp://user:{SECRET}@127.0.0.1:{port}/", timeout_seconds=SHORT)
    finally:
        listening.close()
        await listening.wait_closed()


PEERS = {
    "says nothing": b"",
    "speaks HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "speaks another AMQP": b"AMQP\x00\x01\x00\x00",
    "sends a broken frame": b"\x01\x00\x00\x00\x00\x00\x04junk\x00",
    "sends an unknown frame": b"\x09\x00\x00\x00\x00\x00\x04junk\xce",
}


@pytest.mark.parametrize("greeting", PEERS.values(), ids=PEERS.keys())
async def test_a_peer_that_is_no_rabbitmq_is_unavailable(
    client: Client, greeting: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with peer(lambda _, writer: writer.write(greeting)) as server, asyncio.timeout(LONG):
            for actor in (client.consumer(server), client.publisher(server)):
                with pytest.raises(Unavailable) as raised:
                    await actor.start()
                assert SECRET not in str(raised.value)
                assert not actor.ready
                await actor.close()
    assert SECRET not in caplog.text


async def test_nobody_at_the_port_is_unavailable() -> None:
    async with peer(lambda _, writer: writer.close()) as server:
        pass
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
        async with server.session("test"):
            pass


@pytest.mark.rabbitmq
async def test_a_wrong_password_is_unavailable_and_not_shown(
    rabbitmq_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = Server.parse(rabbitmq_url).url
    stranger = url._replace(netloc=f"nobody:{SECRET}@{url.hostname}:{url.port or 5672}")
    with caplog.at_level(logging.DEBUG), pytest.raises(Unavailable, match="ACCESS_REFUSED") as raised:
        async with Server.parse(stranger.geturl()).session("test"):
            pass
    assert SECRET not in str(raised.value)
    assert SECRET not in caplog.text


@pytest.mark.rabbitmq
async def test_a_virtual_host_that_is_not_there_is_unavailable(rabbitmq_url: str) -> None:
    url = Server.parse(rabbitmq_url).url
    with pytest.raises(Unavailable):
        async with Server.parse(url._replace(path="/does-not-exist").geturl()).session("test"):
            pass


@pytest.mark.rabbitmq
async def test_operators_see_name_and_purpose(server: Server, rabbit: RabbitUnderTest) -> None:
    async with Server.parse(server.url.geturl(), name="chfw-sr at home").session("tests") as connection:
        assert connection.transport is not None
        assert connection.kwargs["client_properties"] == {"connection_name": "chfw-sr at home tests"}


@pytest.mark.rabbitmq
async def test_attempts_that_fail_are_paced_and_success_begins_anew(proxy: Proxy, server: Server) -> None:
    link = Link(server, "test", pause_seconds=0.001, longest_pause_seconds=0.004)
    proxy.refuse()
    pauses = []
    for _ in range(6):
        with pytest.raises(Unavailable):
            await link.open(itself)
        pauses.append(link._next_pause())
    assert all(pause <= 0.004 for pause in pauses)
    assert pauses[-1] >= 0.002  # chance halves it at most
    proxy.refuse(refusing=False)
    await link.open(itself)
    assert link._next_pause() <= 0.001
    await link.close()


@pytest.mark.rabbitmq
async def test_a_link_that_is_closed_while_it_connects_stays_closed(proxy: Proxy, server: Server) -> None:
    link = Link(server, "test")

    async def close(connection: object) -> None:
        await link.close()

    with pytest.raises(Unavailable, match="closed"):
        await link.open(close)


@pytest.mark.rabbitmq
async def test_a_peer_that_has_fallen_silent_cannot_hold_us_up(
    client: Client, proxy: Proxy, server: Server, rabbit: RabbitUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chfw_sr.broker.link.HANG_UP_SECONDS", SHORT)
    consumer = client.consumer(server)
    await consumer.start()
    proxy.hold_answers()
    async with asyncio.timeout(LONG):
        await consumer.close()
    assert not consumer.ready


async def itself(connection: object) -> object:
    return connection


# -------------------------------------------------------------------------------------- what the client library raises


async def test_a_cancellation_that_nobody_asked_for_is_a_lost_connection() -> None:
    with pytest.raises(Unavailable, match="lost"), unavailable_if_lost():
        raise asyncio.CancelledError


async def test_a_cancellation_that_was_asked_for_is_one() -> None:
    async def wait() -> None:
        with unavailable_if_lost():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(KeyError), unavailable_if_lost():
        raise KeyError


def test_the_librarys_nameless_error_is_a_lost_connection() -> None:
    with pytest.raises(Unavailable, match="closed"), unavailable_if_lost():
        raise Exception  # noqa: TRY002 - so does the library


# -------------------------------------------------------------------------------------------------------------- TLS


@dataclass(frozen=True)
class Holder:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


def issue(folder: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None) -> Holder:
    """Make a certificate for 127.0.0.1; of an authority, where there is no issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    signer = issuer[1] if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    holder = Holder(folder / f"{name}.pem", folder / f"{name}.key")
    holder.certificate.write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    holder.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    holder.key.chmod(0o600)
    return holder


@dataclass(frozen=True)
class Pki:
    """An authority, and whom it vouches for."""

    authority: Holder
    server: Holder
    client: Holder


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Make an authority, a server and a client."""
    folder = tmp_path_factory.mktemp("pki")
    authority = issue(folder, "authority", None)
    signer = (
        x509.load_pem_x509_certificate(authority.certificate.read_bytes()),
        serialization.load_pem_private_key(authority.key.read_bytes(), None),
    )
    return Pki(authority, issue(folder, "server", signer), issue(folder, "client", signer))  # type: ignore[arg-type]


@pytest.fixture
async def tls_proxy(rabbitmq_url: str, pki: Pki) -> AsyncIterator[Proxy]:
    """Give a proxy that speaks TLS and lets in only clients with a certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki.authority.certificate)
    context.load_cert_chain(pki.server.certificate, pki.server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    async with Proxy(rabbitmq_url, tls=context) as proxy:
        yield proxy


@pytest.mark.rabbitmq
@pytest.mark.parametrize("in_url", [True, False])
async def test_tls_with_a_client_certificate(
    client: Client, tls_proxy: Proxy, pki: Pki, rabbit: RabbitUnderTest, in_url: bool
) -> None:
    if in_url:
        ca, holder = pki.authority.certificate, pki.client
        url = f"{tls_proxy.url}?cafile={ca}&certfile={holder.certificate}&keyfile={holder.key}"
        server = Server.parse(url)
    else:
        server = Server.parse(
            tls_proxy.url, ca_file=pki.authority.certificate, certificate=pki.client.certificate, key=pki.client.key
        )
    await rabbit.send(b"a")
    async with client.consumer(server) as consumer:
        assert [d.octets for d in await consumer.receive(1, 0)] == [b"a"]


@pytest.mark.rabbitmq
async def test_a_server_that_no_authority_of_ours_vouches_for_is_unavailable(
    client: Client, tls_proxy: Proxy, pki: Pki
) -> None:
    server = Server.parse(tls_proxy.url, certificate=pki.client.certificate, key=pki.client.key)
    with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
        async with server.session("test"):
            pass


@pytest.mark.rabbitmq
async def test_a_lost_tls_connection_is_opened_again(
    client: Client, tls_proxy: Proxy, pki: Pki, rabbit: RabbitUnderTest
) -> None:
    """Early releases of Python 3.11 cannot abort an SSL transport that was closed twice."""
    server = Server.parse(
        tls_proxy.url, ca_file=pki.authority.certificate, certificate=pki.client.certificate, key=pki.client.key
    )
    async with client.consumer(server) as consumer:
        for _ in range(3):
            receiving = asyncio.create_task(consumer.receive(1, 0))
            await asyncio.sleep(0)
            tls_proxy.cut()
            with pytest.raises(Unavailable):
                await receiving
            await consumer.start()
            assert consumer.ready


@pytest.mark.rabbitmq
async def test_a_client_without_a_certificate_is_unavailable(tls_proxy: Proxy, pki: Pki) -> None:
    server = Server.parse(tls_proxy.url, ca_file=pki.authority.certificate)
    with pytest.raises(Unavailable):
        async with server.session("test"):
            pass
