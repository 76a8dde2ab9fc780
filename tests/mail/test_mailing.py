"""From a decision to a mailbox: what Users with e-mail get, through processor, outbox and a real SMTP server."""

import io
import zipfile
from collections import Counter
from contextlib import asynccontextmanager
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from chfw_sr.mail.composing import Composer
from chfw_sr.mail.publisher import FIRST_REST_SECONDS, LONGEST_REST_SECONDS, MailPublisher
from chfw_sr.service.mailing import Digests
from chfw_sr.service.ports import Channels, Contact, MessageKind, OutboxStatus, Unavailable, UserRecord
from chfw_sr.service.relay import Relay
from tests.contract.makers import message
from tests.service.world import ALPHA, GASCO, KEYS, OPERATOR, START, USERS, World, create, hub_eui, publish

from .post_office import CUT, TAKE_AND_CUT, Office, plain, serving

TO = "ops@alpha.example"
GAS_TO = "ops@gasco.example"
COMPOSER = Composer("dcc@dcc.example", ZoneInfo("Europe/London"))


class Town:
    """A world with a relay of mail to a server of the test."""

    def __init__(self, world: World, office: Office, port: int) -> None:
        self.world, self.office = world, office
        self.publisher = MailPublisher(plain(port), COMPOSER, world.store)
        self.relay = self.relay_to(self.publisher)

    def relay_to(self, publisher: MailPublisher) -> Relay:
        return Relay(
            store=self.world.store,
            publisher=publisher,
            clock=self.world.clock,
            lease_seconds=300,
            digests=Digests(timedelta(minutes=15), 500),
            rest_seconds=publisher.rest_seconds,
        )

    async def post(self, recipient: str, *types: str) -> None:
        """Put alerts that nobody can read into the outbox: what counts is how they travel."""
        known = {"kind": MessageKind.EMAIL, "recipient": recipient, "created_at": self.world.clock.now()}
        async with self.world.store.begin() as work:
            first = await work.reserve(len(types))
            await work.enqueue([message(number, type=each, **known) for number, each in enumerate(types, first)])
            await work.commit()

    @property
    def recipients(self) -> list[str]:
        return [mail["To"] for mail in self.office.read()]

    async def statuses(self) -> dict[OutboxStatus, int]:
        entries = await self.world.store.queries.outbox(None, 1000)
        return Counter(entry.status for entry in entries if entry.message.kind is MessageKind.EMAIL)

    def later(self, **by: float) -> None:
        self.world.clock.set(self.world.clock.now() + timedelta(**by))


async def enrol(world: World, alpha: Contact = Contact(), gasco: Contact = Contact()) -> None:  # noqa: B008 - frozen
    contacts = {ALPHA: alpha, GASCO: gasco}
    records = [UserRecord(user, (KEYS.certificates[user.eui],), contacts.get(user.eui, Contact())) for user in USERS]
    await world.store.register.save_users(records, START)


@asynccontextmanager
async def town_with(channels: Channels = Channels.EMAIL, **faults):
    world, office = await World().populate(), Office(**faults)
    await enrol(world, Contact(channels, TO), Contact(Channels.EMAIL, GAS_TO))
    async with serving(office) as port:
        yield Town(world, office, port)


def attached(mail) -> dict[str, bytes]:
    return {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}


@pytest.mark.parametrize("channels", list(Channels))
async def test_an_alert_takes_the_channels_of_its_recipient(channels: Channels) -> None:
    async with town_with(channels) as town:
        await town.world.send(OPERATOR, create())
        await town.world.send(OPERATOR, publish([hub_eui(0)]))
        await town.relay.drain()
        by_bus = [each for each in await town.world.published() if each.recipient == ALPHA]
        mails = [mail for mail in town.office.read() if mail["To"] == TO]
    told = ["N901", "N906"]
    assert sorted(each.type for each in by_bus) == (told if channels.by_bus else [])
    names = [name for mail in mails for name in attached(mail) if name.endswith(".xml")]
    assert sorted(name[:4] for name in names) == (told if channels.by_email else [])
    if channels is Channels.BOTH:
        octets = [document for mail in mails for document in attached(mail).values()]
        assert octets == [each.octets for each in by_bus], "the same signed documents, octet by octet"


async def test_whoever_reads_its_queue_costs_no_more_ids_than_before() -> None:
    world = await World().populate()
    await world.send(OPERATOR, create())
    assert [each.id for each in await world.published()] == [1, 2]


async def test_a_new_contact_counts_from_the_next_batch_on() -> None:
    world = await World().populate()
    await world.send(OPERATOR, create())
    await enrol(world, Contact(Channels.EMAIL, TO))
    await world.send(OPERATOR, publish([hub_eui(0)]))
    entries = await world.store.queries.outbox(None, 100)
    assert {each.message.kind for each in entries if each.message.recipient == ALPHA} == {MessageKind.EMAIL}


async def test_a_clock_driven_step_reaches_mailboxes_too() -> None:
    async with town_with() as town:
        await town.world.send(OPERATOR, create())
        await town.world.send(OPERATOR, publish([hub_eui(0)]))
        town.later(days=6)
        await town.world.clockwork.tick()
        await town.relay.drain()
        subjects = [mail["Subject"] for mail in town.office.read() if mail["To"] == TO]
    assert any("pilot confirmed with 1 hub of yours" in subject for subject in subjects)


async def test_a_pilot_plan_reads_well() -> None:
    async with town_with() as town:
        await town.world.send(OPERATOR, create())
        await town.world.send(OPERATOR, publish([hub_eui(0), hub_eui(1)]))
        await town.relay.drain()
        plan = next(mail for mail in town.office.read() if "pilot plan" in mail["Subject"])
    text = plan.get_body().get_content()
    for told in ("2 hubs of yours are proposed", hub_eui(0), hub_eui(1), " UTC (", "Service Request 11.6", "Window 1:"):
        assert told in text
    assert plan["Auto-Submitted"] == "auto-generated"
    assert max(map(len, plan.as_bytes().splitlines())) <= 998


async def test_activations_wait_for_company_and_make_one_mail() -> None:
    async with town_with() as town:
        await town.post(ALPHA, *["N64"] * 30)
        assert await town.relay.drain() == 0
        town.later(minutes=15)
        assert await town.relay.drain() == 30
        (mail,) = town.office.read()
        archive = zipfile.ZipFile(io.BytesIO(attached(mail)["alerts.zip"]))
        assert {archive.read(name) for name in archive.namelist()} == {message(1).octets}
        assert len(archive.namelist()) == 30
        assert await town.statuses() == {OutboxStatus.PUBLISHED: 30}


async def test_a_change_of_stage_comes_after_the_activations_before_it() -> None:
    async with town_with() as town:
        await town.post(ALPHA, "N64", "N908", "N906", "N64")
        await town.relay.drain()
        assert [list(attached(mail)) for mail in town.office.read()] == [["alerts.zip"], ["N906-3.xml"], ["N64-4.xml"]]


@pytest.mark.parametrize("answer", ["550 5.1.1 no such user ops@alpha.example", "451 4.7.1 greylisted"])
async def test_a_refused_recipient_holds_up_itself_alone_and_is_tried_again(answer: str, caplog) -> None:
    async with town_with(rcpt={TO: [answer]}) as town:
        await town.post(ALPHA, "N906", "N905")
        await town.post(GASCO, "N906")
        await town.relay.drain()
        assert town.recipients == [GAS_TO]
        town.later(seconds=FIRST_REST_SECONDS - 1)
        assert await town.relay.drain() == 0, "its lane rests"
        town.later(seconds=1)
        await town.relay.drain()
        assert [list(attached(mail)) for mail in town.office.read()] == [["N906-3.xml"], ["N906-1.xml"], ["N905-2.xml"]]
        assert await town.statuses() == {OutboxStatus.PUBLISHED: 3}
    assert answer[:3] in caplog.text
    assert TO not in caplog.text, "no address in the log"


async def test_rests_grow_up_to_a_bound_and_begin_anew_after_a_success() -> None:
    async with town_with(rcpt={TO: ["451 later"] * 6}) as town:
        await town.post(ALPHA, "N906")
        (entry,) = await town.world.store.queries.outbox(None, 9)
        rests = []
        for _ in range(6):
            assert await town.relay.drain() == 1
            rests.append(town.publisher.rest_seconds(entry.message))
            town.later(seconds=rests[-1])
        assert rests == [60, 120, 240, 480, LONGEST_REST_SECONDS, LONGEST_REST_SECONDS]
        await town.relay.drain()
        assert town.publisher.rest_seconds(entry.message) == 0


async def test_refused_data_is_tried_again() -> None:
    async with town_with(data=["554 5.6.0 no zip files"]) as town:
        await town.post(ALPHA, "N906")
        await town.relay.drain()
        assert await town.statuses() == {OutboxStatus.READY: 1}
        town.later(minutes=1)
        await town.relay.drain()
        assert await town.statuses() == {OutboxStatus.PUBLISHED: 1}


async def test_a_mail_cut_off_comes_again_and_the_others_go_out_meanwhile() -> None:
    async with town_with(data=[CUT]) as town:
        await town.post(ALPHA, "N906")
        await town.post(GASCO, "N906")
        await town.relay.drain()
        assert town.recipients == [GAS_TO]
        town.later(minutes=1)
        await town.relay.drain()
        assert await town.statuses() == {OutboxStatus.PUBLISHED: 2}


async def test_a_server_that_is_lost_twice_leaves_the_rest_for_the_next_claim() -> None:
    async with town_with(data=[CUT, CUT]) as town:
        await town.post(ALPHA, "N906")
        await town.post(GASCO, "N906")
        await town.post(OPERATOR, "N906")
        contact = Contact(Channels.EMAIL, "op@dcc.example")
        (operator,) = [user for user in USERS if user.eui == OPERATOR]
        await town.world.store.register.save_users([UserRecord(operator, (), contact)], START)
        assert await town.relay.step() == 3
        assert town.recipients == []
        assert await town.relay.step() == 1, "whom nothing was tried for does not rest"
        town.later(minutes=1)
        await town.relay.drain()
        assert sorted(town.recipients) == ["op@dcc.example", TO, GAS_TO]


async def test_a_mail_in_doubt_is_repeated_octet_by_octet_though_more_has_come() -> None:
    async with town_with(data=[TAKE_AND_CUT]) as town:
        await town.post(ALPHA, *["N64"] * 3)
        town.later(minutes=15)
        await town.relay.drain()
        await town.post(ALPHA, *["N64"] * 2)
        town.later(minutes=15)
        await town.relay.drain()
        first, again, _ = town.office.mails
        assert first.content == again.content
        names = [mail["Message-ID"] for mail in town.office.read()]
        assert len(set(names)) == 2
        assert await town.statuses() == {OutboxStatus.PUBLISHED: 5}


async def test_a_server_that_is_away_loses_nothing_and_counts_against_nobody() -> None:
    async with town_with() as town:
        await town.post(ALPHA, "N906")
        gone = MailPublisher(plain(1), COMPOSER, town.world.store)
        with pytest.raises(Unavailable):
            await town.relay_to(gone).step()
        assert "127.0.0.1:1" in await gone.look()
        assert await town.relay.step() == 1
        assert await town.publisher.look() == "ok"


async def test_whose_address_is_gone_keeps_its_mails() -> None:
    async with town_with() as town:
        await town.post(ALPHA, "N906")
        await enrol(town.world)
        await town.relay.drain()
        assert await town.statuses() == {OutboxStatus.READY: 1}
        await enrol(town.world, Contact(Channels.AMQP, "new@alpha.example"))
        town.later(minutes=1)
        await town.relay.drain()
        assert town.recipients == ["new@alpha.example"]


async def test_a_budget_that_is_spent_leaves_the_rest_for_the_next_claim() -> None:
    async with town_with() as town:
        await town.post(ALPHA, "N906")
        spent = MailPublisher(town.publisher._server, COMPOSER, town.world.store, budget_seconds=-1)
        assert await town.relay_to(spent).step() == 1
        assert town.recipients == []
        await town.relay.drain()
        assert town.recipients == [TO]


async def test_look_asks_only_now_and_then() -> None:
    async with town_with() as town:
        seconds = [1000.0]
        publisher = MailPublisher(town.publisher._server, COMPOSER, town.world.store, elapsed=lambda: seconds[0])
        assert [await publisher.look() for _ in range(3)] == ["ok"] * 3
        assert town.office.sessions == 1
        seconds[0] += 60
        await publisher.look()
        assert town.office.sessions == 2


def test_an_address_never_shows() -> None:
    assert TO not in repr(UserRecord(USERS[0], (), Contact(Channels.EMAIL, TO)))
