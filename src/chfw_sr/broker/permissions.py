r"""What each User's account may do on RabbitMQ, and how that is brought there (wire contract §7).

The convention: the name of a User's account is its EUI, in upper case. Such an account may publish to `chfw.requests`,
read its own two queues, and nothing else:

    configure ^$    write ^chfw\.requests$    read ^(alerts\.EUI|responses\.EUI)$

It cannot declare, delete or bind anything; a client that wants replies of its own uses RabbitMQ's direct reply-to
(`amq.rabbitmq.reply-to`), which needs no permission. A topic permission is not needed: whatever routing key a request
bears, it reaches the one queue, and to bind a queue to `chfw.alerts` takes a read of that exchange, which nobody has.

Accounts and passwords are not made here, for they are the operator's (or LDAP's, or a certificate's); what is missing
is named. Nor are tags changed: an account of a User is to have none, since `impersonator` would let it send in the name
of others, and the others see or change what is not theirs.
"""

import base64
import http.client
import json
import shlex
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

from chfw_sr.messages import EUI
from chfw_sr.service.ports import Unavailable
from chfw_sr.tls import checking_context

from .names import REQUESTS, alerts_queue, responses_queue

PORTS = {"http": 15672, "https": 15671}
"""Schemes of the management API, with its usual ports."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TIMEOUT_SECONDS = 10.0
MOST_OF_AN_ANSWER = 64 * 2**20


class ManagementRefused(Exception):  # noqa: N818 - it names the outcome
    """The management API refuses us, or is none; repeating is no use."""


@dataclass(frozen=True, slots=True)
class Permission:
    """What an account may configure, write and read in a virtual host: regular expressions of names."""

    account: str
    configure: str
    write: str
    read: str

    @classmethod
    def of_user(cls, eui: EUI) -> Self:
        """Give what a User's account may do."""
        escaped = [queue.replace(".", r"\.") for queue in (alerts_queue(eui), responses_queue(eui))]
        return cls(eui, "^$", f"^{REQUESTS}$".replace(".", r"\."), f"^({'|'.join(escaped)})$")

    def command(self, vhost: str) -> str:
        """Give the command line that grants it."""
        words = (
            "rabbitmqctl",
            "set_permissions",
            "--vhost",
            vhost,
            self.account,
            self.configure,
            self.write,
            self.read,
        )
        return shlex.join(words)


class Wrong(StrEnum):
    """What may be wrong with an account."""

    NO_ACCOUNT = "there is no such account"
    NO_PERMISSION = "it has no permission in the virtual host"
    DIFFERENT = "it has another permission"
    TAGGED = "it has tags, and is to have none"


@dataclass(frozen=True, slots=True)
class AccountFinding:
    """Something that is not as it should be with a User's account."""

    account: str
    wrong: Wrong
    detail: str = ""

    def __str__(self) -> str:
        return f"account {self.account}: {self.wrong}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Management:
    """RabbitMQ's management API. Made by `Management.parse`; its text shows neither user nor password.

    Attributes:
        authorization: the header that says who we are; a secret.
        context: TLS, or None for plain HTTP to this machine.
    """

    scheme: str
    host: str
    port: int
    path: str
    authorization: str = field(repr=False)
    context: ssl.SSLContext | None = field(repr=False, default=None)

    @classmethod
    def parse(cls, url: str, *, ca_file: Path | None = None) -> Self:
        """Read a URL such as `https://admin:password@host:15671`.

        The server's certificate and name are always checked. Plain HTTP is for this machine only: the password of an
        administrator would travel openly.

        Args:
            url: scheme, user and password of an administrator, host, perhaps port and path prefix.
            ca_file: PEM file of the authorities that may vouch for the server; those of the machine if absent.

        Raises:
            ValueError: saying what is wrong, without the URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("the URL of RabbitMQ's management API cannot be read") from None
        if parts.scheme not in PORTS or not parts.hostname or parts.username is None or parts.password is None:
            raise ValueError("not the URL of a management API (https://USER:PASSWORD@HOST:15671)")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise ValueError("http:// would show an administrator's password to the network; use https://")
        context = None
        if parts.scheme == "https":
            try:
                context = checking_context(ca_file)
            except OSError as error:
                raise ValueError(f"certificates for the management API: {error}") from error
        account = f"{unquote(parts.username)}:{unquote(parts.password)}"
        authorization = "Basic " + base64.b64encode(account.encode()).decode()
        default = PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port or default, parts.path.rstrip("/"), authorization, context)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}{self.path}"

    def accounts(self) -> Mapping[str, frozenset[str]]:
        """Give all accounts with their tags.

        Raises:
            ManagementRefused: if we may not ask.
            Unavailable: if it does not answer.
        """
        found = self._call("GET", "users")
        return {each["name"]: _tags(each["tags"]) for each in found}

    def permissions(self, vhost: str) -> Mapping[str, Permission]:
        """Give what is permitted in a virtual host, by account.

        Raises:
            ManagementRefused: if we may not ask, or there is no such virtual host.
            Unavailable: if it does not answer.
        """
        found = self._call("GET", f"vhosts/{quote(vhost, safe='')}/permissions")
        return {
            each["user"]: Permission(each["user"], each["configure"], each["write"], each["read"]) for each in found
        }

    def grant(self, vhost: str, permission: Permission) -> None:
        """Give an account its permission in a virtual host, in place of what it had there.

        Raises:
            ManagementRefused: if we may not, or there is no such account or virtual host.
            Unavailable: if it does not answer.
        """
        place = f"permissions/{quote(vhost, safe='')}/{quote(permission.account, safe='')}"
        rights = {"configure": permission.configure, "write": permission.write, "read": permission.read}
        self._call("PUT", place, rights)

    def _call(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        connection: http.client.HTTPConnection
        if self.context is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_SECONDS)
        else:
            connection = http.client.HTTPSConnection(
                self.host, self.port, timeout=TIMEOUT_SECONDS, context=self.context
            )
        try:
            connection.request(
                method, f"{self.path}/api/{path}", None if body is None else json.dumps(body).encode(), headers
            )
            answer = connection.getresponse()
            octets = answer.read(MOST_OF_AN_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{self}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(f"{self}: {answer.status} {answer.reason}")
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise ManagementRefused(f"{self}: {method} {path}: {answer.status} {answer.reason}")
        try:
            return json.loads(octets) if octets else None
        except ValueError:
            raise ManagementRefused(f"{self}: the answer is not JSON; is this a management API?") from None


def _tags(value: str | Sequence[str]) -> frozenset[str]:
    """Read the tags of an account; versions before 3.9 join them."""
    return frozenset(tag for tag in (value.split(",") if isinstance(value, str) else value) if tag)


def check(management: Management, vhost: str, users: Iterable[EUI]) -> Sequence[AccountFinding]:
    """Say whose account is missing, permitted otherwise, or tagged; nothing is changed.

    Raises:
        ManagementRefused: if we may not ask.
        Unavailable: if the management API does not answer.

    Source: wire contract §7.
    """
    accounts, permitted = management.accounts(), management.permissions(vhost)
    findings = []
    for eui in sorted(set(users)):
        if eui not in accounts:
            findings.append(AccountFinding(eui, Wrong.NO_ACCOUNT))
            continue
        if tags := accounts[eui]:
            findings.append(AccountFinding(eui, Wrong.TAGGED, ", ".join(sorted(tags))))
        found = permitted.get(eui)
        if found is None:
            findings.append(AccountFinding(eui, Wrong.NO_PERMISSION, vhost))
        elif found != Permission.of_user(eui):
            rights = f"configure {found.configure}, write {found.write}, read {found.read}"
            findings.append(AccountFinding(eui, Wrong.DIFFERENT, rights))
    return findings


def apply(management: Management, vhost: str, users: Iterable[EUI]) -> Sequence[AccountFinding]:
    """Permit to each User's account what it may do, and no more; say what that could not cure.

    Args:
        management: of an administrator.
        vhost: where the service's exchanges and queues are.
        users: whose accounts.

    Returns:
        Accounts that are missing or tagged: both are the operator's to change.

    Raises:
        ManagementRefused: if we may not.
        Unavailable: if the management API does not answer.

    Source: wire contract §7.
    """
    findings = check(management, vhost, users)
    for finding in findings:
        if finding.wrong in {Wrong.NO_PERMISSION, Wrong.DIFFERENT}:
            management.grant(vhost, Permission.of_user(EUI(finding.account)))
    return [finding for finding in findings if finding.wrong in {Wrong.NO_ACCOUNT, Wrong.TAGGED}]
