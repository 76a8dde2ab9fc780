"""`chfw-sr send`: a Service Request from a file, and what became of it."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from chfw_sr.client import Client, ReceivedAlert, Reused, Submission
from chfw_sr.client.opening import Access
from chfw_sr.messages import ALERTS, EUI, RESPONSES, Rejected, ServiceResponse
from chfw_sr.settings import Settings

from .access import CertificateOption, DccCertificateOption, JournalOption, KeyOption, access_of, client_of
from .app import CommandError, ExitCode, app, command, settings_of
from .convert import is_json, json_to_xml
from .documents import place_of
from .hubs import eui_argument
from .output import Json, JsonOption, note, print_fields, print_json, record

TIMEOUT_SECONDS = 60.0

ALERTS_LOOKED_AT = 20_000
"""Alerts among which the outcome alert is looked for; they stay in the User's queue."""


@command(app, "send")
def send(  # noqa: PLR0913, PLR0917 - one for each option
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="XML or JSON.", exists=True, dir_okay=False)],
    user: Annotated[EUI, typer.Option("--as", parser=eui_argument, metavar="EUI", help="The User that sends it.")],
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its response and its outcome alert.")] = False,
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait.")] = TIMEOUT_SECONDS,
    new_id: Annotated[
        bool, typer.Option("--new-id", help="Take the journal's next counter, and sign anew with --key.")
    ] = False,
    key: KeyOption = None,
    certificate: CertificateOption = None,
    dcc_certificate: DccCertificateOption = None,
    journal: JournalOption = None,
    amqp: Annotated[str | None, typer.Option(metavar="URL", help="RabbitMQ: amqp://… or amqps://….")] = None,
    json_output: JsonOption = False,
) -> None:
    r"""Send a Service Request, and with --wait say what became of it.

    FILE is a DUIS document, signed or not, or the flat JSON of DUIS client tools (see convert). What is not signed is
    signed with --key. It is written down in the journal first. The same command again sends the same octets, which the
    DCC answers with the stored response; nothing is done twice.

    With --wait, the response is taken from the User's queue of responses, and written down in the journal. Alerts are
    looked at until the outcome alert is found, and are all given back.

    Ends with 0 if the request was accepted (or, without --wait, once RabbitMQ has it), with 1 if it was refused, with 3
    if no answer came in time.

    Example:
      chfw-sr send preferences.json --as 90-B3-D5-1F-30-01-00-00 --new-id --wait --key user.key.pem \
        --certificate user.pem --dcc-certificate dcc.pem --amqp amqps://broker/chfw
    """
    settings = settings_of(context, {"amqp_url": amqp})
    octets = file.read_bytes()
    if is_json(octets):
        octets = json_to_xml(octets, str(file))
    access = access_of(settings, user, dcc_certificate, journal, key=key, certificate=certificate)
    try:
        asyncio.run(_send(settings, access, octets, timeout, wait=wait, renumber=new_id, as_json=json_output))
    except Rejected as error:
        raise CommandError(f"{file}: {place_of(error)}{error.reason} ({error.code})") from error
    except Reused as error:
        raise CommandError(f"{file}: {error}, for instance with --new-id") from error


async def _send(
    settings: Settings, access: Access, octets: bytes, seconds: float, *, wait: bool, renumber: bool, as_json: bool
) -> None:
    async with client_of(settings, access) as client:
        submission = await client.submit(octets, renumber=renumber)
        note(f"{submission.request_id} is in {access.journal}")
        answer = _Answer(submission)
        try:
            async with asyncio.timeout(seconds):
                await answer.wait_for(client, everything=wait)
        except TimeoutError:
            answer.show(as_json=as_json)
            raise CommandError(
                f"no {answer.missing} within {seconds:g} s; the request is in {access.journal}: "
                "the same command goes on waiting, and sends it again if it has no response",
                ExitCode.UNAVAILABLE,
            ) from None
        answer.show(as_json=as_json)
        if answer.response is not None and answer.response.code.is_error:
            raise CommandError(f"the request was refused: {answer.response.code}")


class _Answer:
    """What is known of a request so far."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        self.response: ServiceResponse | None = None
        self.outcome: ReceivedAlert | None = None
        self.missing = "word from RabbitMQ"

    async def wait_for(self, client: Client, *, everything: bool) -> None:
        """Wait until RabbitMQ has it, or for response and outcome alert."""
        await self._submission.sent()
        if not everything:
            return
        self.missing = "Service Response"
        self.response = await self._submission.response()
        self.missing = "outcome alert"
        async with client.alerts(ahead=ALERTS_LOOKED_AT):
            self.outcome = await self._submission.outcome()

    def show(self, *, as_json: bool) -> None:
        """Print it."""
        submission, response, outcome = self._submission, self.response, self.outcome
        found: dict[str, Json] = {"request_id": str(submission.request_id), "srv": str(submission.srv)}
        if response is not None:
            payload = response.payload
            found |= {
                "response": str(response.code),
                "meaning": RESPONSES[response.code].meaning,
                "payload": None if payload is None else record(payload),
            }
        if outcome is not None:
            found |= {"outcome": str(outcome.code), "told": ALERTS[outcome.code].meaning, "alert": record(outcome.body)}
        if as_json:
            print_json(found)
        else:
            print_fields(found)
