"""The connection to the SMTP server: TLS, logging in, refusals, losses, silence."""

import asyncio

import pytest

from chfw_sr.mail.server import MailRefused, MailServer, Tls
from chfw_sr.service.ports import Unavailable

from .post_office import CUT, PASSWORD, TAKE_AND_CUT, URL_PASSWORD, USER, Office, mute, plain, serving, tls_of

MAIL = b"Subject: x\r\n\r\n.a line that begins with a dot\r\n"
FROM, TO = "dcc@dcc.example", "ops@alpha.example"


async def send(server: MailServer, *recipients: str) -> None:
    async with server.session() as session:
        for recipient in recipients or (TO,):
            await session.send(FROM, recipient, MAIL)


async def test_mails_share_a_connection_and_arrive_as_they_were() -> None:
    office = Office()
    async with serving(office) as port:
        await send(plain(port), TO, "b@beta.example")
    assert [(each.mail_from, each.rcpt_tos, each.content) for each in office.mails] == [
        (FROM, [TO], MAIL),
        (FROM, ["b@beta.example"], MAIL),
    ]
    assert office.sessions == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_tls_and_a_password(tmp_path, scheme: str) -> None:
    office = Office()
    context, authority = tls_of(tmp_path)
    async with serving(office, context, starttls=scheme == "smtp", auth=True) as port:
        url = f"{scheme}://{USER}:{URL_PASSWORD}@localhost:{port}"
        await send(MailServer.parse(url, ca_file=authority))
    assert office.logins == [PASSWORD.encode()]
    assert len(office.mails) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_that_nobody_vouches_for_is_not_believed(tmp_path, scheme: str) -> None:
    office = Office()
    context, _ = tls_of(tmp_path)
    async with serving(office, context, starttls=scheme == "smtp", auth=True) as port:
        server = MailServer.parse(f"{scheme}://{USER}:{URL_PASSWORD}@localhost:{port}")
        with pytest.raises(Unavailable, match="its certificate: self-signed certificate"):
            await send(server)
    assert office.logins == [], "no password was told"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_a_certificate_for_another_name_is_not_believed(tmp_path, scheme: str) -> None:
    context, authority = tls_of(tmp_path, "mail.elsewhere.example")
    async with serving(Office(), context, starttls=scheme == "smtp") as port:
        with pytest.raises(Unavailable, match="its certificate: Hostname mismatch"):
            await send(MailServer.parse(f"{scheme}://localhost:{port}", ca_file=authority))


async def test_a_server_without_starttls_is_not_spoken_to() -> None:
    office = Office()
    async with serving(office) as port:
        with pytest.raises(Unavailable, match="TLS starttls"):
            await send(MailServer.parse(f"smtp://localhost:{port}"))
    assert office.mails == []


async def test_a_wrong_password_is_unavailable_and_not_told(tmp_path) -> None:
    context, authority = tls_of(tmp_path)
    async with serving(Office(), context, starttls=True, auth=True) as port:
        with pytest.raises(Unavailable, match="SMTPAuthenticationError 535") as caught:
            await send(MailServer.parse(f"smtp://{USER}:hunter2@localhost:{port}", ca_file=authority))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "told", "permanent"),
    [
        ("550 5.1.1 <ops@alpha.example> unknown", "550 5.1.1", True),
        ("450 4.7.1 greylisted, ops@alpha.example", "450 4.7.1", False),
        ("452 mailbox full", "452", False),
    ],
)
async def test_a_recipient_that_is_refused_does_not_end_the_connection(answer: str, told: str, permanent: bool) -> None:
    office = Office(rcpt={TO: [answer]})
    async with serving(office) as port, plain(port).session() as session:
        with pytest.raises(MailRefused) as caught:
            await session.send(FROM, TO, MAIL)
        assert (str(caught.value), caught.value.permanent) == (told, permanent), "nothing that names the address"
        await session.send(FROM, TO, MAIL)
    assert len(office.mails) == 1
    assert office.sessions == 1


async def test_data_that_is_refused_is_a_refusal() -> None:
    office = Office(data=["554 5.6.0 no attachments of this kind", "250 OK"])
    async with serving(office) as port, plain(port).session() as session:
        with pytest.raises(MailRefused, match=r"554 5\.6\.0"):
            await session.send(FROM, TO, MAIL)
        await session.send(FROM, TO, MAIL)
    assert len(office.mails) == 1


@pytest.mark.parametrize(("fault", "arrived"), [(CUT, 0), (TAKE_AND_CUT, 1), ("421 closing", 0)])
async def test_a_connection_lost_in_data_leaves_the_mail_in_doubt(fault, arrived: int) -> None:
    office = Office(data=[fault])
    async with serving(office) as port:
        with pytest.raises(Unavailable):
            await send(plain(port))
    assert len(office.mails) == arrived


async def test_a_server_that_never_says_a_word_costs_no_more_than_the_timeout() -> None:
    async with mute() as port:
        with pytest.raises(Unavailable, match=r"no answer within 0\.05 s"):
            await send(plain(port, timeout_seconds=0.05))


async def test_a_server_that_hangs_in_data_costs_no_more_than_the_timeout() -> None:
    async with serving(Office(data=[asyncio.Event()])) as port:
        with pytest.raises(Unavailable, match=r"no answer within 0\.3 s"):
            await send(plain(port, timeout_seconds=0.3))


async def test_nobody_there_is_unavailable() -> None:
    async with mute() as port:
        pass
    with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port}"):
        await send(plain(port))


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "username"),
    [
        ("smtp://mail.example", "mail.example", 587, Tls.STARTTLS, None),
        ("smtps://a%40b:c@mail.example", "mail.example", 465, Tls.IMPLICIT, "a@b"),
        ("smtp://mail.example:25/?tls=off", "mail.example", 25, Tls.OFF, None),
    ],
)
def test_urls(url: str, host: str, port: int, tls: Tls, username: str | None) -> None:
    server = MailServer.parse(url)
    assert (server.host, server.port, server.tls, server.username) == (host, port, tls, username)
    assert (server.context is None) == (tls is Tls.OFF)
    assert "a@b" not in repr(server) + str(server)


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example",
        "smtp://",
        "smtp://mail.example:x",
        "smtp://mail.example/inbox",
        "smtp://mail.example?tls=maybe",
        "smtps://mail.example?tls=off",
        "smtp://user:secret@mail.example?tls=off",
    ],
)
def test_urls_that_cannot_be_used_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|TLS") as caught:
        MailServer.parse(url)
    assert "secret" not in str(caught.value)


def test_a_file_of_authorities_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="authorities"):
        MailServer.parse("smtps://mail.example", ca_file=tmp_path / "missing.pem")
