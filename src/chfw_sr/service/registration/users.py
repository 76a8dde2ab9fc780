"""Reads a Users file, CSV or TOML, with the certificates that it names."""

import csv
import io
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509

from chfw_sr.campaign.model import User
from chfw_sr.messages import EUI, Region, Role, UserStatus, parse_eui
from chfw_sr.service.ports import Channels, Contact, UserRecord, parse_address
from chfw_sr.wire import TrustedCertificate

from .faults import InvalidFile, Problem, nearest, numbered_rows, one_of, read_header

USER_FIELDS = ("eui", "name", "roles", "status", "regions", "certificates", "revoked", "email", "channels")
"""Columns of a CSV Users file and keys of a `[[user]]` in a TOML one; the first three are required."""

MAX_NAME = 100

_REQUIRED = 3
_LISTS = ("roles", "regions", "certificates")
_USER_TABLE = re.compile(r"\s*\[\[\s*user\s*\]\]")
_KEY = re.compile(r"\s*([a-z_]+)\s*[.=]")

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class _Row:
    """One User as written.

    Attributes:
        values: what was written, by field; an empty field is absent.
        line: where it begins, if that is known.
        lines: where each field stands, if that is known better than `line`.
    """

    values: Mapping[str, object]
    line: int | None
    lines: Mapping[str, int] = field(default_factory=dict)

    def problem(self, name: str, reason: object) -> Problem:
        return Problem(self.lines.get(name, self.line), name, str(reason))


def read_users(path: Path, *, with_certificates: bool = True) -> tuple[UserRecord, ...]:
    """Read a Users file with the certificates that it names.

    Args:
        path: a TOML file with one `[[user]]` per User, or a CSV file with a header; told apart by the ending `.toml`.
            Keys and columns are `USER_FIELDS`; in CSV, several values in one field are joined by `;`. `certificates`
            holds paths of PEM files, relative to the Users file; `revoked` those that are no longer to be trusted,
            with the date and time since when (TOML: a table of path = time; CSV: `path=time`). In TOML, `roles` may
            be an empty list: a party that is known, but no User in any role (yet).
        with_certificates: False leaves `certificates` and `revoked` unread.

    Raises:
        InvalidFile: naming every fault that was found: form, unknown names, an EUI that comes twice, a certificate
            that cannot be read or whose holder is not the User.
        OSError: if the Users file itself cannot be read.

    Source: wire contract §1 (certificate) and §2.
    """
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidFile(source, [Problem(None, None, f"not UTF-8 text (octet {error.start})")]) from None
    rows = _toml_rows(text, source) if path.suffix.lower() == ".toml" else _csv_rows(text, source)
    readers = [_Reader(row) for row in rows]
    records = [reader.user(path.parent, with_certificates=with_certificates) for reader in readers]
    problems = [problem for reader in readers for problem in reader.problems]
    problems += _repeated(rows, records)
    if problems:
        raise InvalidFile(source, sorted(problems, key=lambda problem: problem.line or 0))
    return tuple(record for record in records if record is not None)


def _csv_rows(text: str, source: str) -> list[_Row]:
    numbered = numbered_rows(io.StringIO(text, newline=""))
    header = read_header(numbered, USER_FIELDS, _REQUIRED, source)
    rows: list[_Row] = []
    problems: list[Problem] = []
    for line, cells in numbered:
        if isinstance(cells, csv.Error):
            problems.append(Problem(line, None, f"not CSV: {cells}"))
        elif len(cells) != len(header):
            problems.append(Problem(line, None, f"{len(cells)} fields where the header has {len(header)}"))
        else:
            rows.append(_Row(_csv_values(dict(zip(header, cells, strict=True))), line))
    if problems:
        raise InvalidFile(source, problems)
    return rows


def _csv_values(cells: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, text in cells.items():
        parts = [part.strip() for part in text.split(";") if part.strip()]
        if parts and name in _LISTS:
            values[name] = parts
        elif parts and name == "revoked":
            values[name] = {file.strip(): time.strip() for file, _, time in (part.rpartition("=") for part in parts)}
        elif text.strip():
            values[name] = text.strip()
    return values


def _toml_rows(text: str, source: str) -> list[_Row]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidFile(source, [Problem(None, None, f"not TOML: {error}")]) from None
    tables = document.pop("user", [])
    if document or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        name = next(iter(document), "user")
        raise InvalidFile(source, [Problem(None, name, "not expected; every User is a table [[user]]")])
    rows = [_Row(table, *place) for table, place in zip(tables, _places(text, len(tables)), strict=True)]
    problems = [
        row.problem(name, f"unknown key{nearest(name, USER_FIELDS)}")
        for row in rows
        for name in row.values
        if name not in USER_FIELDS
    ]
    if problems:
        raise InvalidFile(source, problems)
    return rows


def _places(text: str, tables: int) -> Sequence[tuple[int | None, dict[str, int]]]:
    """Find the line of each `[[user]]` and of its keys; None for all where another form of TOML hides them."""
    places: list[tuple[int | None, dict[str, int]]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if _USER_TABLE.match(line):
            places.append((number, {}))
        elif places and (key := _KEY.match(line)):
            places[-1][1].setdefault(key[1], number)
    return places if len(places) == tables else [(None, {})] * tables


class _Reader:
    """Reads one row and collects what is wrong with it."""

    def __init__(self, row: _Row) -> None:
        self.row = row
        self.problems: list[Problem] = []

    def user(self, folder: Path, *, with_certificates: bool) -> UserRecord | None:
        eui = self._take("eui", lambda value: parse_eui(str(value)), None)
        name = self._take("name", _name, None)
        roles = self._take("roles", _roles, None)
        status = self._take("status", lambda value: one_of(UserStatus, str(value)), UserStatus.ACTIVE)
        no_regions: frozenset[Region] = frozenset()
        regions = self._take(
            "regions", lambda value: frozenset(one_of(Region, text) for text in _texts(value)), no_regions
        )
        contact = self._contact()
        certificates = tuple(self._certificates(folder, eui)) if with_certificates and eui else ()
        if eui is None or name is None or roles is None or self.problems:
            return None
        if fault := regions_fault(roles, regions):
            self.problems.append(self.row.problem("regions", fault))
            return None
        return UserRecord(User(eui, name, roles, status, regions), certificates, contact)

    def _contact(self) -> Contact:
        no_address: str | None = ""
        email = self._take("email", lambda value: parse_address(str(value)), no_address)
        channels = self._take("channels", lambda value: one_of(Channels, str(value)), Channels.AMQP)
        if channels.by_email and not self.row.values.get("email"):
            self.problems.append(self.row.problem("email", f"missing; channels is {channels}"))
        return Contact(channels, email) if email else Contact()

    def _take(self, name: str, read: Callable[[object], _Value], default: _Value) -> _Value:
        value = self.row.values.get(name)
        if value is None:
            if default is None:
                self.problems.append(self.row.problem(name, "missing"))
            return default
        try:
            return read(value)
        except ValueError as error:
            self.problems.append(self.row.problem(name, error))
            return default

    def _certificates(self, folder: Path, eui: EUI) -> Iterator[TrustedCertificate]:
        nothing: tuple[str, ...] = ()
        never: dict[str, datetime | None] = {}
        files: dict[str, datetime | None] = dict.fromkeys(self._take("certificates", _texts, nothing))
        files.update(self._take("revoked", _revocations, never))
        for file, revoked_at in files.items():
            try:
                for certificate in _load(folder / file):
                    yield _trusted(certificate, eui, revoked_at)
            except ValueError as error:
                name = "certificates" if revoked_at is None else "revoked"
                self.problems.append(self.row.problem(name, f"{file}: {error}"))


def regions_fault(roles: frozenset[Role], regions: frozenset[Region]) -> str | None:
    """Tell what is wrong with a User's regions: a CSP operates some, nobody else does (wire contract §2)."""
    if (Role.CSP in roles) == bool(regions):
        return None
    return "a CSP operates at least one region" if Role.CSP in roles else "only a CSP operates regions"


def _trusted(certificate: x509.Certificate, eui: EUI, revoked_at: datetime | None) -> TrustedCertificate:
    trusted = TrustedCertificate(certificate, eui, revoked_at)
    if trusted.public_key is None or not trusted.may_sign:
        raise ValueError("not for DUIS signatures: the key must be EC P-256, the key usage digitalSignature")
    return trusted


def _load(path: Path) -> list[x509.Certificate]:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror) from error
    try:
        return x509.load_pem_x509_certificates(octets)
    except ValueError as error:
        raise ValueError("not a certificate in PEM form") from error


def _name(value: object) -> str:
    text = str(value)
    if not 1 <= len(text) <= MAX_NAME or not text.isprintable():
        raise ValueError(f"not 1 to {MAX_NAME} printable characters")
    return text


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ValueError("not a list of at least one text")
    return tuple(value)


def _roles(value: object) -> frozenset[Role]:
    # Whoever has no role is known by its certificates and refused with E1, whatever it sends.
    return frozenset(one_of(Role, text) for text in _texts(value)) if value != [] else frozenset()


def _revocations(value: object) -> dict[str, datetime | None]:
    if not isinstance(value, dict) or "" in value:
        raise ValueError("not paths, each with = and the date and time of its revocation")
    return {str(file): _instant(file, time) for file, time in value.items()}


def _instant(file: str, value: object) -> datetime:
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{file}: not a date and time: {str(value)[:40]!r}") from None
    if time.tzinfo is None:
        raise ValueError(f"{file}: the date and time needs an offset, for instance Z")
    return time.astimezone(UTC)


def _repeated(rows: Sequence[_Row], records: Sequence[UserRecord | None]) -> Iterator[Problem]:
    seen: set[object] = set()
    for row, record in zip(rows, records, strict=True):
        if record is None:
            continue
        if record.user.eui in seen:
            yield row.problem("eui", f"{record.user.eui} comes twice")
        seen.add(record.user.eui)
        for trusted in record.certificates:
            name = trusted.certificate.issuer.public_bytes(), trusted.certificate.serial_number
            if name in seen:
                yield row.problem("certificates", f"serial number {name[1]} of this issuer comes twice")
            seen.add(name)
