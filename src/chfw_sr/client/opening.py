"""A client from files and a URL: what an adapter's command line or settings name."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from chfw_sr.keyfiles import read_private_key
from chfw_sr.messages import EUI
from chfw_sr.wire import Signer, TrustStore, holder_eui

from .client import Client
from .journal import Journal
from .reading import load_trust


@dataclass(frozen=True, slots=True)
class Access:
    """What a User needs to talk to the DCC.

    Attributes:
        amqp_url: `amqps://USER:PASSWORD@HOST/VHOST?cafile=…`; a secret.
        user: the User's EUI.
        dcc: the DCC's EUI.
        key: PEM file of the User's private key; nobody else may be able to read it.
        certificate: PEM file of its certificate.
        dcc_certificates: PEM files of the DCC's certificates, or folders of them; several while one replaces another.
        journal: the file that remembers what was sent and told; made if it is not there.
    """

    amqp_url: str
    user: EUI
    dcc: EUI
    key: Path
    certificate: Path
    dcc_certificates: Sequence[Path]
    journal: Path

    def signer(self) -> Signer:
        """Read the User's key and certificate.

        Raises:
            OSError: if a file cannot be read.
            ValueError: naming the file, if it cannot be used, is not safe, or is another's.
        """
        return load_signer(self.user, self.key, self.certificate)

    def trust(self) -> TrustStore:
        """Read the DCC's certificates.

        Raises:
            OSError: if a file cannot be read.
            ValueError: naming the file, if it cannot be used or is another's.
        """
        return load_trust(self.dcc, self.dcc_certificates)


def load_signer(user: EUI, key: Path, certificate: Path) -> Signer:
    """Read a User's key and certificate.

    Args:
        user: whose they must be.
        key: PEM file of the private key; nobody else may be able to read it.
        certificate: PEM file of its certificate.

    Raises:
        OSError: if a file cannot be read.
        ValueError: naming the file, if it cannot be used, is not safe, or is another's.
    """
    key_pem, pem = read_private_key(key), certificate.read_bytes()
    try:
        signer = Signer.from_pem(key_pem, pem)
        holder = holder_eui(x509.load_pem_x509_certificate(pem))
    except ValueError as error:
        raise ValueError(f"{key}, {certificate}: {error}") from error
    if holder != user:
        raise ValueError(f"{certificate}: it is {holder}'s, not {user}'s")
    return signer


@asynccontextmanager
async def open_client(access: Access, *, own_copies: bool = False) -> AsyncIterator[Client]:
    """Run a client on RabbitMQ.

    Args:
        access: who we are, and where.
        own_copies: take nothing from the User's queues; see `RabbitTransport`.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if a file or the URL cannot be used.
        JournalError: if the journal cannot.
    """
    from .rabbitmq import RabbitTransport, Server  # noqa: PLC0415 - the AMQP client takes a while to import

    server = Server.parse(access.amqp_url, name=f"client of {access.user}")
    signer, trust = access.signer(), access.trust()
    with Journal(access.journal) as journal:
        transport = RabbitTransport(server, access.user, own_copies=own_copies)
        async with Client(
            user=access.user, dcc=access.dcc, signer=signer, trust=trust, transport=transport, journal=journal
        ) as client:
            yield client
