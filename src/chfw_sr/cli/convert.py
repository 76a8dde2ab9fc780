"""`chfw-sr convert`: DUIS XML to the flat JSON of DUIS client tools, and back."""

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from chfw_sr.client.duis_json import NotDuis, from_json, to_json
from chfw_sr.messages import Rejected

from .app import CommandError, app, command
from .documents import place_of
from .output import note

STDIN = Path("-")


@command(app, "convert")
def convert(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="XML or JSON; - is stdin.", allow_dash=True)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; stdout by default.")
    ] = None,
) -> None:
    """Convert a DUIS document to the flat JSON that DUIS client tools use, or such JSON to DUIS XML.

    Which of the two, the content says. Nothing is lost but the signature: XML comes out in canonical form, unsigned;
    sign it with chfw-sr sign. In JSON, elements have no prefix, EUIs are in lower case, the counter is an integer. Both
    ways the document is checked against the schema; ends with 1 if it does not fit.

    Example:
      chfw-sr convert request.xml -o request.json
      chfw-sr convert request.json | chfw-sr validate /dev/stdin
    """
    octets = sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    result = json_to_xml(octets, str(file)) if is_json(octets) else _to_json(octets, str(file))
    if output is None:
        sys.stdout.buffer.write(result)
        sys.stdout.buffer.flush()
    else:
        output.write_bytes(result)


def is_json(octets: bytes) -> bool:
    """Tell JSON from XML by its first character."""
    return octets.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def json_to_xml(octets: bytes, source: str) -> bytes:
    """Give the unsigned document that JSON says.

    Args:
        octets: the JSON.
        source: where it came from, for errors.

    Raises:
        CommandError: if it is no JSON, or no document of DUIS.
    """
    try:
        document = json.loads(octets.decode("utf-8-sig"), parse_float=Decimal)
        return from_json(document)
    except NotDuis as error:
        raise CommandError(f"{source}: {error}") from error
    except Rejected as error:
        raise CommandError(f"{source}: {place_of(error)}{error.reason} ({error.code})") from error
    except RecursionError as error:
        raise CommandError(f"{source}: not JSON that can be read: it is nested too deeply") from error
    except ValueError as error:
        raise CommandError(f"{source}: not JSON: {error}") from error


def _to_json(octets: bytes, source: str) -> bytes:
    try:
        found = to_json(octets)
    except Rejected as error:
        raise CommandError(f"{source}: {place_of(error)}{error.reason} ({error.code})") from error
    if b":Signature" in octets or b"<Signature" in octets:
        note("the signature is left out; sign anew with chfw-sr sign after converting back")
    return json.dumps(found, indent=2, ensure_ascii=False).encode() + b"\n"
