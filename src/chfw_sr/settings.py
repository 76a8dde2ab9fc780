"""One frozen settings object, from flags, environment (`CHFW_SR_…`) and `chfw-sr.toml`, in that order of precedence."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from chfw_sr.messages import EUI, Role, parse_eui
from chfw_sr.telemetry.redaction import redact

PREFIX = "CHFW_SR_"
CONFIG_FILE = Path("chfw-sr.toml")
TEST_PREFIX = PREFIX + "TEST_"
"""Variables of the test suite; the settings leave them alone."""


class SettingsError(Exception):
    """A setting is unknown or has a value that cannot be used; the message names it."""


class LogLevel(StrEnum):
    """What is logged: this and everything graver."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a line of the log looks."""

    AUTO = "auto"
    """For people where stderr is a terminal, else JSON."""
    JSON = "json"
    CONSOLE = "console"


class _File(TomlConfigSettingsSource):
    """The settings file. A private key does not belong into it: nobody checks who can read it."""

    def __call__(self) -> dict[str, Any]:
        found = super().__call__()
        if "signing_key_pem" in found:
            raise SettingsError(f"signing_key_pem: from the environment only, not from {CONFIG_FILE}")
        return found


class AmqpClient(StrEnum):
    """What speaks AMQP with RabbitMQ."""

    LEAN = "lean"
    """Our own frames, many at a time."""
    AIO_PIKA = "aio-pika"
    """The client library; several times the processor time a message."""


class Settings(BaseSettings):
    """Everything that an operator can set. Secrets do not show in `repr` or in errors."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    database_url: Annotated[
        SecretStr,
        Field(description="Database: sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER:PASSWORD@HOST/NAME."),
    ] = SecretStr("sqlite+aiosqlite:///chfw-sr.sqlite3")
    amqp_url: Annotated[
        SecretStr | None,
        Field(description="RabbitMQ: amqp://USER:PASSWORD@HOST/VHOST, or amqps:// for TLS; run and topology need it."),
    ] = None
    amqp_ca_file: Annotated[
        Path | None, Field(description="PEM file of the authorities that RabbitMQ's certificate is checked against.")
    ] = None
    amqp_certificate: Annotated[Path | None, Field(description="PEM file of this client's certificate (amqps).")] = None
    amqp_key: Annotated[Path | None, Field(description="PEM file of that certificate's private key (amqps).")] = None
    amqp_management_url: Annotated[
        SecretStr | None,
        Field(description="RabbitMQ's management API, https://ADMIN:PASSWORD@HOST:15671: topology permits by it."),
    ] = None
    amqp_client: Annotated[
        AmqpClient,
        Field(description="What receives and publishes: lean, or aio-pika as a fall-back at a multiple of the cost."),
    ] = AmqpClient.LEAN
    smtp_url: Annotated[
        SecretStr | None,
        Field(
            description="SMTP server: smtps://USER:PASSWORD@HOST; smtp:// for STARTTLS; smtp://HOST?tls=off for none."
        ),
    ] = None
    smtp_from: Annotated[
        str | None, Field(description="Address that alerts by e-mail come from, and that bounces go to.")
    ] = None
    smtp_ca_file: Annotated[
        Path | None,
        Field(description="PEM file of the authorities of the SMTP server's certificate."),
    ] = None
    smtp_timeout_seconds: Annotated[
        float, Field(gt=0, le=100, description="How long connecting to the SMTP server, and each mail, may take.")
    ] = 60.0
    email_digest_minutes: Annotated[
        float, Field(ge=0, description="How long an activation (N64, N908) waits for others to share a mail with.")
    ] = 15.0
    email_digest_size: Annotated[
        int, Field(gt=0, le=1000, description="How many activations are enough for a mail at once.")
    ] = 500
    dcc_eui: Annotated[
        EUI,
        AfterValidator(parse_eui),
        Field(description="EUI of this DCC (its Access Control Broker): target of requests."),
    ] = EUI("90-B3-D5-1F-30-00-00-02")
    signing_key: Annotated[
        Path | None, Field(description="PEM file of the private key that signs responses and alerts.")
    ] = None
    signing_key_pem: Annotated[
        SecretStr | None, Field(description="That key itself, as PEM text; from the environment only.")
    ] = None
    signing_certificate: Annotated[Path | None, Field(description="PEM file of the certificate of that key.")] = None

    user_key: Annotated[Path | None, Field(description="send: PEM file of the private key of the User that sends.")] = (
        None
    )
    user_certificate: Annotated[Path | None, Field(description="send: PEM file of the certificate of that key.")] = None
    dcc_certificates: Annotated[
        tuple[Path, ...], Field(description="send, alerts: PEM files of the DCC's certificates, or folders of them.")
    ] = ()

    max_octets: Annotated[int, Field(gt=0, description="Largest Service Request that is read, octets.")] = 4 * 2**20
    alert_roles: Annotated[
        frozenset[Role], Field(description="Which responsible Users hear of a hub's activations (N64, N908).")
    ] = frozenset({Role.IS, Role.GS})
    status_at: Annotated[time, Field(description="Time of day of the daily status report (N909).")] = time(7)
    time_zone: Annotated[str, Field(description="Time zone of that time of day.")] = "Europe/London"
    clock_tolerance_seconds: Annotated[
        int, Field(ge=0, description="How far in the future an activation may be dated.")
    ] = 300

    batch_size: Annotated[int, Field(gt=0, description="Service Requests in one transaction, at most.")] = 1000
    batch_wait_ms: Annotated[int, Field(ge=0, description="How long to wait for a batch to fill, milliseconds.")] = 0
    prefetch: Annotated[
        int, Field(gt=0, le=65_535, description="Service Requests that a consumer may hold unacknowledged.")
    ] = 2000
    delivery_limit: Annotated[int, Field(gt=0, description="Deliveries of one message before it is quarantined.")] = 20
    requests_per_minute: Annotated[
        int, Field(ge=0, description="Service Requests of one User, sustained, for each process (E906); 0: no limit.")
    ] = 6_000
    requests_at_once: Annotated[
        int, Field(gt=0, description="Service Requests of one User in a burst after a silence, for each process.")
    ] = 10_000
    throttled_alert_seconds: Annotated[
        float, Field(gt=0, description="How often a User beyond its quota is told so (N904), with the count.")
    ] = 60.0
    quarantined_per_minute: Annotated[
        int, Field(ge=0, description="Inputs of nobody known that each process keeps; the rest is dropped; 0: all.")
    ] = 600
    quarantined_at_once: Annotated[
        int, Field(gt=0, description="Inputs of nobody known that each process keeps in a burst after a silence.")
    ] = 5_000
    quarantine_limit: Annotated[
        int, Field(gt=0, description="Newest inputs of nobody known that stay in quarantine; older ones are purged.")
    ] = 20_000
    relay_batch: Annotated[int, Field(gt=0, description="Messages that the relay claims at once.")] = 2000
    relay_claims: Annotated[
        int, Field(gt=0, description="Claims that a relay has under way at once, each of other recipients.")
    ] = 2
    relay_lease_seconds: Annotated[
        float, Field(gt=0, description="After which another relay takes over unfinished messages.")
    ] = 60.0
    relay_in_flight_per_recipient: Annotated[
        int | None,
        Field(
            gt=0,
            description="Messages to one recipient that may be under way without a confirm; unbounded if not set. 1"
            " keeps their order even where an operator has limited the length of a User's queue.",
        ),
    ] = None
    keep_published_days: Annotated[
        float, Field(gt=0, description="After which published messages leave the outbox; the inbox keeps its keys.")
    ] = 30.0
    idle_seconds: Annotated[
        float, Field(gt=0, description="How often to look for work that nobody announced: in outbox and spool.")
    ] = 0.5
    tick_seconds: Annotated[float, Field(gt=0, description="How often the clock looks for steps that are due.")] = 1.0
    clock_lease_seconds: Annotated[
        float, Field(gt=0, description="After which another process's clock takes over from one that fell silent.")
    ] = 15.0
    heartbeat_seconds: Annotated[
        float,
        Field(gt=0, description="How often the database is told that the service is up; six missed: it was down."),
    ] = 5.0
    grace_seconds: Annotated[float, Field(ge=0, description="How long run may take to drain.")] = 30.0
    spool: Annotated[
        Path | None, Field(description="Folder of run --embedded: *.xml come in below in/, messages go out below out/.")
    ] = None

    metrics_host: Annotated[str, Field(description="Address that /metrics, /healthz and /readyz are served on.")] = (
        "127.0.0.1"
    )
    metrics_port: Annotated[int, Field(ge=0, le=65_535, description="Port of the same; 0 takes any that is free.")] = (
        9464
    )
    probe_seconds: Annotated[
        float, Field(gt=0, description="How often readiness and the depths of queues are looked up.")
    ] = 5.0
    stuck_seconds: Annotated[
        float, Field(gt=0, description="After which a loop that does not come round counts as stuck (/healthz).")
    ] = 300.0
    log_level: Annotated[LogLevel, Field(description="What is logged: this and everything graver.")] = LogLevel.INFO
    log_format: Annotated[LogFormat, Field(description="auto is console on a terminal, else json.")] = LogFormat.AUTO

    @field_validator("alert_roles")
    @classmethod
    def _responsible_roles(cls, roles: frozenset[Role]) -> frozenset[Role]:
        if strangers := roles - {Role.IS, Role.GS, Role.ED, Role.GT}:
            raise ValueError(f"no hub has a responsible User in the role {', '.join(sorted(strangers))}")
        return roles

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no such time zone: {name}") from error
        return name

    @model_validator(mode="after")
    def _key_and_certificate(self) -> Self:
        keys = [key for key in (self.signing_key, self.signing_key_pem) if key is not None]
        if len(keys) > 1:
            raise ValueError("signing_key and signing_key_pem are two ways to give one key; set one of them")
        if bool(keys) != (self.signing_certificate is not None):
            raise ValueError("signing_key and signing_certificate go together")
        if (self.amqp_key is None) != (self.amqp_certificate is None):
            raise ValueError("amqp_key and amqp_certificate go together")
        return self

    @field_validator("amqp_url")
    @classmethod
    def _amqp_scheme(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and urlsplit(url.get_secret_value()).scheme not in ("amqp", "amqps"):
            raise ValueError("not the URL of a RabbitMQ (amqp://USER:PASSWORD@HOST/VHOST, or amqps://)")
        return url

    @model_validator(mode="after")
    def _sender_of_mail(self) -> Self:
        if (self.smtp_url is None) != (self.smtp_from is None):
            raise ValueError("smtp_url and smtp_from go together")
        return self

    @model_validator(mode="after")
    def _tls_of_amqp(self) -> Self:
        urls = [url.get_secret_value() for url in (self.amqp_url, self.amqp_management_url) if url is not None]
        schemes = {urlsplit(url).scheme for url in urls}
        if (self.amqp_certificate and "amqps" not in schemes) or (
            self.amqp_ca_file and not schemes & {"amqps", "https"}
        ):
            raise ValueError("amqp_ca_file and amqp_certificate are for an amqps:// URL; amqp_url is none")
        return self

    @model_validator(mode="after")
    def _batch_within_prefetch(self) -> Self:
        if self.batch_size > self.prefetch:
            raise ValueError(f"a batch of {self.batch_size} never fills: prefetch lets in {self.prefetch} at a time")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before environment before the file; nothing else is read."""
        return init_settings, env_settings, _File(settings_cls, CONFIG_FILE)


def load_settings(flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Args:
        flags: values given on the command line; None values count as not given.
        environment: where to look for unknown variables; the process's own by default.

    Raises:
        SettingsError: naming the setting that is unknown or unusable, with the nearest known name.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in environment if environment is not None else os.environ:
        upper = name.upper()
        if upper.startswith(PREFIX) and not upper.startswith(TEST_PREFIX) and upper not in known:
            nearest = difflib.get_close_matches(upper, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise SettingsError(f"unknown environment variable {name}{hint}")
    try:
        return Settings(**{name: value for name, value in (flags or {}).items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'settings'}: {problem['msg']}" for problem in error.errors()
        )
        raise SettingsError(problems) from None


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """A setting as people may see it: without secrets."""

    name: str
    value: str
    changed: bool
    description: str


def shown(settings: Settings) -> Iterator[ShownSetting]:
    """Give every setting with its value in text; of URLs the passwords are taken out.

    Args:
        settings: what is in force; a setting that differs from its default is `changed`.
    """
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        text = "***" if name == "signing_key_pem" and value else _text(value)
        yield ShownSetting(name, text, value != field.default, field.description or "")


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return redact(value.get_secret_value())
        case frozenset():
            return ", ".join(sorted(map(str, value)))
        case tuple():
            return ", ".join(map(str, value))
        case _:
            return str(value)
