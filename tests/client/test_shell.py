"""`chfw-sr send` and `chfw-sr alerts tail`, against RabbitMQ; the DCC is played by hand."""

import asyncio
import json

import pytest

from chfw_sr.broker.names import alerts_queue, responses_queue
from chfw_sr.client.duis_json import to_json
from chfw_sr.messages import DeletePilotPreferences, RequestID, ResponseCode, ServiceRequest
from chfw_sr.messages.identifiers import CampaignID
from chfw_sr.wire import write_request
from tests.cli.conftest import bare, isolated
from tests.client.test_client import Clerk, deleted

from .parts import DCC, OTHER, SUPPLIER, SUPPLIER_SIGNER, activation, alert_octets

__all__ = ["bare", "isolated"]

NAMED = RequestID(originator=SUPPLIER, target=DCC, counter=7)
REQUEST = ServiceRequest(request_id=NAMED, body=DeletePilotPreferences(campaign_id=CampaignID("C-1")))

rabbitmq = pytest.mark.rabbitmq


@pytest.fixture
def request_file(tmp_path):
    path = tmp_path / "request.xml"
    path.write_bytes(write_request(REQUEST, None))
    return path


@pytest.fixture
def shell(bare, rabbit_desk, key_files):
    """Runs a command in a thread, with RabbitMQ and keys."""

    async def run(*arguments, keys=True):
        names = key_files() if keys else key_files()[-2:]
        url = rabbit_desk.bus.server.url.geturl()
        return await asyncio.to_thread(bare, *arguments, *names, "--amqp", url)

    return run


@rabbitmq
async def test_a_request_is_signed_sent_and_waited_for(shell, rabbit_desk, request_file):
    await rabbit_desk.alerts([1, 2])
    clerk = Clerk(rabbit_desk)
    running = asyncio.create_task(shell("send", request_file, "--as", SUPPLIER, "--wait", "--json"))
    assert b"<ds:Signature " in await clerk.next()
    await clerk.answer(NAMED)
    await rabbit_desk.alert(deleted(NAMED), 3)
    result = await running
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["request_id"], found["srv"], found["response"], found["outcome"]) == (
        str(NAMED),
        "11.7",
        "I99",
        "N910",
    )
    assert f"{SUPPLIER}.journal" in result.stderr
    await rabbit_desk.bus.take(alerts_queue(SUPPLIER), 3)
    await rabbit_desk.bus.take(responses_queue(SUPPLIER), 0)


@rabbitmq
async def test_a_refusal_is_exit_code_1_and_a_second_run_tells_it_again(shell, rabbit_desk, request_file):
    clerk = Clerk(rabbit_desk)
    for again in (False, True):
        running = asyncio.create_task(shell("send", request_file, "--as", SUPPLIER, "--wait", "--timeout", "30"))
        if not again:
            await clerk.next()
            await clerk.answer(NAMED, ResponseCode.E110702)
            await rabbit_desk.alert(deleted(NAMED), 3)
        result = await running
        assert result.exit_code == 1
        assert "E110702" in result.stdout
        assert "refused: E110702" in result.stderr


@rabbitmq
async def test_without_wait_it_ends_once_rabbitmq_has_it(shell, rabbit_desk, request_file):
    flat = request_file.with_suffix(".json")
    flat.write_text(json.dumps(to_json(request_file.read_bytes())))
    result = await shell("send", flat, "--as", SUPPLIER, "--new-id")
    assert result.exit_code == 0, result.stderr
    octets = await Clerk(rabbit_desk).next()
    counter = to_json(octets)["header"]["requestId"]["counter"]
    assert counter > 10**15
    assert f"{SUPPLIER}:{DCC}:{counter}" in result.stdout


@rabbitmq
async def test_no_answer_in_time_is_exit_code_3_and_says_what_to_do(shell, request_file):
    result = await shell("send", request_file, "--as", SUPPLIER, "--wait", "--timeout", "0.5")
    assert result.exit_code == 3
    assert "no Service Response within 0.5 s" in result.stderr
    assert "same command" in result.stderr


@rabbitmq
@pytest.mark.parametrize(
    ("content", "as_user", "keys", "words", "code"),
    [
        (b"<a/>", SUPPLIER, True, "not sr:Request", 1),
        (b'{"header": 1}', SUPPLIER, True, "header: an object", 1),
        (write_request(REQUEST, None), OTHER, False, "its originator is", 2),
        (write_request(REQUEST, None), SUPPLIER, False, "no key to sign it with", 2),
        (write_request(REQUEST, None), OTHER, True, f"it is {SUPPLIER}'s", 2),
    ],
    ids=["no request", "no such JSON", "another's", "no key", "another's key"],
)
async def test_what_cannot_be_sent_is_told(shell, tmp_path, content, as_user, keys, words, code):
    (tmp_path / "file").write_bytes(content)
    result = await shell("send", tmp_path / "file", "--as", as_user, keys=keys)
    assert result.exit_code == code
    assert words in result.stderr


@rabbitmq
async def test_a_request_id_that_was_used_is_told_with_the_way_out(shell, tmp_path, rabbit_desk):
    for campaign in ("C-1", "C-2"):
        other = REQUEST.model_copy(update={"body": DeletePilotPreferences(campaign_id=CampaignID(campaign))})
        (tmp_path / "file").write_bytes(write_request(other, SUPPLIER_SIGNER))
        result = await shell("send", tmp_path / "file", "--as", SUPPLIER)
    assert result.exit_code == 1
    assert "--new-id" in result.stderr


async def put_until_done(rabbit_desk, running, octets) -> None:
    """Put alerts until who follows has seen enough: it follows from some moment on, which nobody tells."""
    while not running.done():
        for each in octets:
            await rabbit_desk.put(each)
        await asyncio.wait({running}, timeout=0.1)


@rabbitmq
async def test_copies_are_followed_filtered_and_taken_from_nobody(shell, rabbit_desk):
    octets = [alert_octets(activation(1), 1), alert_octets(deleted(NAMED), 2)]
    arguments = ("--user", SUPPLIER, "--code", "N910", "--campaign", "C-1", "--count", 1, "--json")
    running = asyncio.create_task(shell("alerts", "tail", *arguments, keys=False))
    await put_until_done(rabbit_desk, running, octets)
    result = await running
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["code"], found["campaign_id"], found["body"]["request_id"]["counter"]) == ("N910", "C-1", 7)
    assert found["id"] == f"{DCC}:{SUPPLIER}:2"
    kept = await rabbit_desk.bus.drain(alerts_queue(SUPPLIER))
    assert len(kept) >= 2


@rabbitmq
async def test_an_account_that_may_not_have_copies_is_told_of_take(shell, rabbitmq_vhost):
    rabbitmq_vhost.permit("^$")
    try:
        result = await shell("alerts", "tail", "--user", SUPPLIER, "--count", 1, keys=False)
    finally:
        rabbitmq_vhost.permit(".*")
    assert result.exit_code == 2
    assert "may not have copies" in result.stderr
    assert "--take" in result.stderr


@rabbitmq
async def test_take_acknowledges_what_it_prints(shell, rabbit_desk):
    await rabbit_desk.alerts([1, 2, 3])
    result = await shell("alerts", "tail", "--user", SUPPLIER, "--take", "--count", 2, keys=False)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["N64", "N64"]
    assert "device_id=00-DB-12-34-56-78-90-01" in lines[0]
    await rabbit_desk.bus.take(alerts_queue(SUPPLIER), 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--take", "--code", "N64"), "leave out --code"),
        (("--journal", "x"), "--journal is for --take"),
        ((), "--dcc-certificate PEM"),
    ],
)
def test_options_that_do_not_fit_are_told(bare, options, words):
    result = bare("alerts", "tail", "--user", SUPPLIER, *options)
    assert result.exit_code == 2
    assert words in result.stderr


def test_without_rabbitmq_in_the_settings(bare, key_files):
    result = bare("alerts", "tail", "--user", SUPPLIER, *key_files()[-2:])
    assert result.exit_code == 2
    assert "amqp_url is not set" in result.stderr


def test_a_key_without_its_certificate(bare, key_files, request_file):
    files = key_files()
    result = bare("send", request_file, "--as", SUPPLIER, *files[:2], *files[-2:])
    assert result.exit_code == 2
    assert "go together" in result.stderr
