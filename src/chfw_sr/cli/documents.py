"""`chfw-sr sign`, `verify` and `validate`: any DUIS-shaped document, Service Request, Service Response or DCC Alert."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from chfw_sr.keyfiles import ExposedKey, refuse_exposed
from chfw_sr.messages import Rejected
from chfw_sr.service.ports import Store
from chfw_sr.wire import Limits, Parsed, Schemas, Signer, TrustedCertificate, TrustStore, holder_eui, parse, verify

from .app import CommandError, ExitCode, app, command, with_store
from .output import Json, JsonOption, note, print_json, visible
from .report import AtOption

FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE…", help="XML documents.", exists=True, dir_okay=False)
]


@command(app, "sign")
def sign_document(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="XML document.", exists=True, dir_okay=False)],
    key: Annotated[Path, typer.Option(metavar="PEM", help="Private key, not encrypted.", exists=True, dir_okay=False)],
    certificate: Annotated[Path, typer.Option(metavar="PEM", help="Its certificate.", exists=True, dir_okay=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; stdout by default.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a Signature that is there already.")] = False,
) -> None:
    r"""Sign a DUIS-shaped document.

    Writes the document, an sr:Request or sr:Response, in canonical form with the Signature as last child of its root.
    Says so on stderr if others can read the key, or if the result will not verify, because the certificate is another
    User's than the one that the header names, or out of date.

    Example:
      chfw-sr sign request.xml --key pki/90-B3-D5-1F-30-01-00-00.key.pem \
        --certificate pki/90-B3-D5-1F-30-01-00-00.pem -o signed.xml
    """
    certificate_pem = certificate.read_bytes()
    try:
        refuse_exposed(key)
    except ExposedKey as error:
        note(f"warning: {error}")
    try:
        signer = Signer.from_pem(key.read_bytes(), certificate_pem)
    except ValueError as error:
        raise CommandError(f"{key}, {certificate}: {error}", ExitCode.USAGE) from error
    try:
        octets = signer.sign(file.read_bytes(), replace=replace)
    except Rejected as error:
        raise CommandError(f"{file}: {place_of(error)}{error.reason}") from error
    except ValueError as error:
        raise CommandError(f"{file}: {error}") from error
    try:
        verify(
            parse(octets, Limits()), TrustStore.of(x509.load_pem_x509_certificate(certificate_pem)), datetime.now(UTC)
        )
    except (Rejected, ValueError) as error:
        note(f"warning: the signature will not verify: {error}")
    if output is None:
        sys.stdout.buffer.write(octets)
        sys.stdout.buffer.flush()
    else:
        output.write_bytes(octets)


@dataclass(frozen=True, slots=True)
class _Finding:
    """What was found out about one document."""

    data: dict[str, Json]
    line: str
    good: bool


@command(app, "verify")
def verify_documents(
    context: typer.Context,
    files: FilesArgument,
    certificate: Annotated[
        list[Path] | None,
        typer.Option(metavar="PEM", help="Trust this certificate; may be repeated.", exists=True, dir_okay=False),
    ] = None,
    at: AtOption = None,
    json_output: JsonOption = False,
) -> None:
    """Check the signatures of documents.

    Whether they fit the schema is not asked. The certificates trusted are those given, else those of the Users in the
    database. Prints who signed each document, or why its signature does not hold; ends with 1 if any does not.

    Example:
      chfw-sr verify alerts/*.xml --certificate dcc.pem
      chfw-sr verify request.xml
    """
    if certificate:
        trust = TrustStore(_trusted(path) for path in certificate)
    else:

        async def snapshot(store: Store) -> TrustStore:
            return TrustStore(await store.register.certificates())

        trust = with_store(context, snapshot)
    now = at or datetime.now(UTC)

    def check(path: Path, parsed: Parsed) -> _Finding:
        signed = verify(parsed, trust, now)
        serial = str(signed.certificate.serial_number)
        data: dict[str, Json] = {
            "file": str(path),
            "verified": True,
            "signed_by": signed.originator,
            "serial_number": serial,
            "digest": signed.digest.hex(),
        }
        return _Finding(data, f"{path}: signed by {signed.originator}, certificate {serial}", good=True)

    _examine(files, check, "verified", as_json=json_output)


def _trusted(path: Path) -> TrustedCertificate:
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
        return TrustedCertificate(found, holder_eui(found))
    except ValueError as error:
        raise CommandError(f"{path}: not a User's certificate: {error}", ExitCode.USAGE) from error


@command(app, "validate")
def validate_documents(files: FilesArgument, json_output: JsonOption = False) -> None:
    """Check documents against the schema. Signatures are not checked.

    Prints, for each file, that it is valid, or the line, the path and the reason; ends with 1 if any is not.

    Example:
      chfw-sr validate requests/*.xml
    """
    schemas = Schemas.load()

    def check(path: Path, parsed: Parsed) -> _Finding:
        schemas.validate(parsed)
        return _Finding({"file": str(path), "valid": True}, f"{path}: valid", good=True)

    _examine(files, check, "valid", as_json=json_output)


def _examine(files: Sequence[Path], check: Callable[[Path, Parsed], _Finding], question: str, *, as_json: bool) -> None:
    """Ask the question of every file and print the answers; end with `NO` if any is no."""
    findings = []
    for path in files:
        try:
            findings.append(check(path, parse(path.read_bytes(), Limits())))
        except Rejected as error:
            data: dict[str, Json] = {
                "file": str(path),
                question: False,
                "code": error.code,
                "line": error.line,
                "path": error.path,
                "reason": error.reason,
            }
            findings.append(_Finding(data, f"{path}: {place_of(error)}{error.reason} ({error.code})", good=False))
    if as_json:
        print_json([each.data for each in findings])
    else:
        for each in findings:
            typer.echo(visible(each.line))
    if bad := sum(not each.good for each in findings):
        raise CommandError(f"{bad} of {len(findings)} documents not {question}")


def place_of(error: Rejected) -> str:
    """Write where in its document a fault is, with a colon behind it; nothing if nobody knows."""
    parts = [f"line {error.line}"] if error.line else []
    parts += [error.path] if error.path else []
    return ", ".join(parts) + ": " if parts else ""
