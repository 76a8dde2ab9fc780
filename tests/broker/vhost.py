"""A RabbitMQ for tests: a virtual host of their own, made and deleted here, so that nothing else is disturbed."""

import base64
import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

import pytest

URL = "CHFW_SR_TEST_RABBITMQ"
REQUIRE = "CHFW_SR_TEST_REQUIRE_SERVERS"
DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
MANAGEMENT_PORT = 15672
LOOPBACK = {"127.0.0.1", "::1", "localhost"}

Administer = Callable[..., object]


class NoServer(Exception):  # noqa: N818 - it names the outcome
    """There is no server, or no way to make a virtual host on it."""


@dataclass(frozen=True)
class Vhost:
    """A virtual host of our own; `permit` sets what our account may configure in it (a regular expression)."""

    url: str
    permit: Callable[[str], object]


@contextmanager
def new_vhost() -> Iterator[Vhost]:
    """Make an empty virtual host, deleted in the end with all that is in it; skips, or fails, without a server."""
    url = urlsplit(os.environ.get(URL, DEFAULT_URL))
    name = f"chfw-sr-test-{uuid.uuid4().hex}"
    try:
        _knock(url)
        create, permit, delete = _administration(url, name)
        create()
    except NoServer as error:
        message = f"{error} ({URL} says where RabbitMQ is, {DEFAULT_URL} by default)"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(message, pytrace=False)
        pytest.skip(message)
    try:
        permit(".*")
        yield Vhost(url._replace(path=f"/{name}").geturl(), permit)
    finally:
        delete()


@pytest.fixture(scope="session")
def rabbitmq_vhost() -> Iterator[Vhost]:
    """Give an empty virtual host."""
    with new_vhost() as vhost:
        yield vhost


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq_vhost: Vhost) -> str:
    """Give the URL of an empty virtual host."""
    return rabbitmq_vhost.url


def _knock(url: SplitResult) -> None:
    try:
        socket.create_connection((url.hostname or "", url.port or 5672), timeout=5).close()
    except OSError as error:
        raise NoServer(f"no RabbitMQ at {url.hostname}:{url.port}: {error}") from error


def _administration(url: SplitResult, vhost: str) -> tuple[Administer, Administer, Administer]:
    """Give what creates the virtual host, permits our account to configure things in it, and deletes it."""
    user = unquote(url.username or "guest")
    if url.hostname in LOOPBACK and _is_node_of_rabbitmqctl(url.port or 5672):
        return (
            lambda: _rabbitmqctl("add_vhost", vhost),
            lambda configure: _rabbitmqctl("set_permissions", "-p", vhost, user, configure, ".*", ".*"),
            lambda: _rabbitmqctl("delete_vhost", vhost),
        )
    path, rights = f"vhosts/{vhost}", {"write": ".*", "read": ".*"}
    return (
        lambda: _management(url, "PUT", path),
        lambda configure: _management(
            url, "PUT", f"permissions/{vhost}/{quote(user, safe='')}", {"configure": configure, **rights}
        ),
        lambda: _management(url, "DELETE", path),
    )


def _is_node_of_rabbitmqctl(port: int) -> bool:
    """Say whether rabbitmqctl is there, is allowed to, and administers the server that listens at this port."""
    if not shutil.which("rabbitmqctl"):
        return False
    try:
        status = json.loads(_rabbitmqctl("status", "--formatter", "json"))
    except NoServer:
        return False
    return any(listener["port"] == port for listener in status["listeners"])


def _rabbitmqctl(*arguments: str) -> str:
    done = subprocess.run(
        ["rabbitmqctl", "--quiet", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise NoServer(f"rabbitmqctl {arguments[0]}: {(done.stderr or done.stdout).strip()[:300]}")
    return done.stdout


def _management(url: SplitResult, method: str, path: str, body: object = None) -> None:
    request = urllib.request.Request(
        f"http://{url.hostname}:{MANAGEMENT_PORT}/api/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": "Basic "
            + base64.b64encode(
                f"{unquote(url.username or 'guest')}:{unquote(url.password or 'guest')}".encode()
            ).decode(),
        },
    )
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except (urllib.error.URLError, OSError) as error:
        raise NoServer(f"neither rabbitmqctl nor the management plugin makes a virtual host: {error}") from error
