"""Certificates begin, end, overlap and are withdrawn; whatever the register says counts from the next request on."""

from datetime import timedelta

import pytest

from chfw_sr.messages import ReadCampaignStatus, Rejected, RequestID, ResponseCode, ServiceRequest
from chfw_sr.service.outcome import Ending
from chfw_sr.service.ports import MessageKind
from chfw_sr.service.processor import Processor
from chfw_sr.service.registration import InvalidFile, read_users
from chfw_sr.wire import (
    Intake,
    Limits,
    Schemas,
    Signer,
    TrustedCertificate,
    TrustStore,
    parse,
    read_response,
    verify,
    write_request,
)
from chfw_sr.wire.pki import certificate_pem, issue, make_authority
from tests.service.world import ALPHA, CAMPAIGN, DAY, DCC, KEYS, OPERATOR, START, World, create

AUTHORITY = make_authority("Second Authority")
SECOND = timedelta(seconds=1)


@pytest.fixture
async def world(store) -> World:
    return await World(store=store).populate()


class Folder:
    """A Users file for one User, as an operator writes it anew at each change."""

    def __init__(self, folder) -> None:
        self._folder = folder

    def issue(self, name, begin=START - DAY, end=START + 100 * DAY) -> Signer:
        certificate, key = issue(AUTHORITY, ALPHA, "Alpha", begin, end)
        (self._folder / f"{name}.pem").write_bytes(certificate_pem(certificate))
        return Signer.of(key, certificate)

    async def register(self, world: World, *certificates: str, revoked: str = "") -> None:
        """Import the file; nothing else is done, and nothing is restarted."""
        lines = ["[[user]]", f'eui = "{ALPHA}"', 'name = "Alpha"', 'roles = ["IS", "GS"]']
        lines += [f"certificates = {[f'{each}.pem' for each in certificates]}"] if certificates else []
        (self._folder / "users.toml").write_text("\n".join([*lines, revoked]))
        await world.store.register.save_users(read_users(self._folder / "users.toml"), world.clock.now())


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path)


async def code(world: World, signer: Signer) -> str:
    """Send a request that is refused as for an unknown campaign if its sender is believed; give the code."""
    request = world.request(ALPHA, ReadCampaignStatus(campaign_id=CAMPAIGN))
    (outcome,) = await world.process(write_request(request, signer))
    believed = outcome.ending is not Ending.QUARANTINED
    assert believed is (outcome.code == ResponseCode.E110901)
    return outcome.code


BELIEVED, REFUSED = ResponseCode.E110901, ResponseCode.E902


async def test_a_certificate_counts_from_its_beginning_to_its_end(world, folder) -> None:
    begin, end = START + DAY, START + 2 * DAY
    signer = folder.issue("a", begin, end)
    await folder.register(world, "a")
    for at, expected in ((begin - SECOND, REFUSED), (begin, BELIEVED), (end, BELIEVED), (end + SECOND, REFUSED)):
        world.clock.set(at)
        assert await code(world, signer) == expected, at


async def test_keys_overlap_and_then_the_old_one_is_withdrawn(world, folder) -> None:
    old, new = folder.issue("old"), folder.issue("new")
    await folder.register(world, "old")
    assert [await code(world, each) for each in (old, new)] == [BELIEVED, REFUSED]
    await folder.register(world, "old", "new")
    assert [await code(world, each) for each in (old, new)] == [BELIEVED, BELIEVED]
    await folder.register(world, "new")
    assert [await code(world, each) for each in (old, new)] == [REFUSED, BELIEVED]
    await folder.register(world)
    assert [await code(world, each) for each in (old, new)] == [REFUSED, REFUSED]


async def test_a_revocation_counts_from_its_instant(world, folder) -> None:
    signer = folder.issue("a")
    revoked_at = (START + DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    await folder.register(world, revoked=f'revoked = {{ "a.pem" = {revoked_at} }}')
    world.clock.set(START + DAY - SECOND)
    assert await code(world, signer) == BELIEVED
    world.clock.set(START + DAY)
    assert await code(world, signer) == REFUSED


async def test_a_request_that_was_served_is_served_again_only_by_a_key_that_holds(world, folder) -> None:
    """A repeat is a request too: after the withdrawal nobody gets a stored answer with the old key."""
    old, new = folder.issue("old"), folder.issue("new")
    await folder.register(world, "old", "new")
    request = world.request(ALPHA, ReadCampaignStatus(campaign_id=CAMPAIGN))
    (first,) = await world.process(write_request(request, old))
    (again,) = await world.process(write_request(request, new))
    assert [first.ending, again.ending] == [Ending.REFUSED, Ending.REPEATED]
    await folder.register(world, "new")
    (late,) = await world.process(write_request(request, old))
    assert (late.ending, late.code) == (Ending.QUARANTINED, REFUSED)


async def test_a_key_of_one_user_signs_for_no_other(world, folder) -> None:
    signer = folder.issue("a")
    await folder.register(world, "a")
    request = ServiceRequest(request_id=RequestID(originator=OPERATOR, target=DCC, counter=99), body=create())
    (outcome,) = await world.process(write_request(request, signer))
    assert (outcome.ending, outcome.code) == (Ending.QUARANTINED, REFUSED)
    assert await world.store.queries.campaigns() == []


def test_a_certificate_of_another_user_is_not_registered(folder, tmp_path) -> None:
    folder.issue("a")
    file = tmp_path / "users.toml"
    file.write_text(f'[[user]]\neui = "{OPERATOR}"\nname = "Op"\nroles = ["DCC"]\ncertificates = ["a.pem"]\n')
    with pytest.raises(InvalidFile, match=f"the certificate is of {ALPHA}, not of {OPERATOR}"):
        read_users(file)


# --------------------------------------------------------------------------------------------- the DCC's own new key


def processor_with(world: World, signer: Signer) -> Processor:
    return Processor(
        store=world.store,
        intake=Intake(Schemas.load(), Limits()),
        signer=signer,
        dcc=DCC,
        policy=world.policy,
        clock=world.clock,
    )


async def test_a_new_key_of_the_dcc_loses_and_doubles_nothing(world) -> None:
    """Processes are restarted one by one: for a while some sign with the old key, some with the new one."""
    certificate, key = issue(AUTHORITY, DCC, "DCC", START - DAY, START + 900 * DAY)
    new_signer = Signer.of(key, certificate)
    old_process, new_process = world.processor, processor_with(world, new_signer)
    sent = []
    for number in range(12):
        body = create(f"CH-{number}")
        octets = world.octets(OPERATOR, body)
        world.processor = (old_process, old_process, new_process, old_process, new_process, new_process)[number // 2]
        (outcome,) = await world.process(octets)
        assert (outcome.ending, outcome.code) == (Ending.DONE, ResponseCode.I99)
        sent.append(octets)
    for octets in sent:  # nothing was published yet; now each comes again, to the other process
        world.processor = new_process
        (outcome,) = await world.process(octets)
        assert outcome.ending is Ending.REPEATED

    published = await world.published()
    alerts = [each for each in published if each.kind is MessageKind.ALERT]
    responses = [each for each in published if each.kind is MessageKind.RESPONSE]
    assert len({each.message_id for each in alerts}) == len(alerts) == 12
    assert len(responses) == 24
    by_request: dict[str, set[bytes]] = {}
    for each in responses:
        by_request.setdefault(str(read_response(each.octets).request_id), set()).add(each.octets)
    assert [len(octets) for octets in by_request.values()] == [1] * 12, "a repeat is answered with the stored octets"

    old = TrustStore([KEYS.certificates[DCC]])
    new = TrustStore.of(certificate)
    both = TrustStore([KEYS.certificates[DCC], TrustedCertificate(certificate, DCC)])
    holders = {each.message_id: verifies(each.octets, old) + 2 * verifies(each.octets, new) for each in alerts}
    assert sorted(holders.values()) == [1] * 6 + [2] * 6, "each is signed with one of the two"
    assert all(verifies(each.octets, both) for each in published)


def verifies(octets: bytes, trust: TrustStore) -> bool:
    try:
        return verify(parse(octets, Limits()), trust, START).originator == DCC
    except Rejected:
        return False
