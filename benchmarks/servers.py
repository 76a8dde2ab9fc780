"""PostgreSQL and RabbitMQ for a run: started for it, or given; and the CPU that they use.

Private ones are started from what is installed, on loopback, at ports that were free, in a folder that goes away. They
use the servers' own defaults, fsync among them, but for what `POSTGRESQL` names. Nothing else uses them, so all their
CPU is the run's. Given ones are named by `CHFW_SR_TEST_POSTGRESQL` and `CHFW_SR_TEST_RABBITMQ`: a database and a
virtual host of the run's own are made there and dropped; what others do on those servers meanwhile is measured too.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from .frames import Link

START_SECONDS = 90.0
POSTGRESQL: dict[str, str] = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
"""Settings of a private PostgreSQL that differ from its defaults."""

Roots = Callable[[], Iterable[int]]


class NoServer(Exception):  # noqa: N818 - it names the outcome
    """A server is not there and cannot be started."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the run.

    Attributes:
        url: of a database or virtual host of the run's own.
        roots: gives the ids of its topmost processes; empty for one on another machine.
        version: as it tells itself.
        private: whether nothing else uses it.
    """

    url: str
    roots: Roots
    version: str
    private: bool


@dataclass(frozen=True, slots=True)
class Servers:
    """What a run works against."""

    postgresql: Server
    rabbitmq: Server

    @property
    def groups(self) -> dict[str, Roots]:
        """The groups of processes that are measured."""
        return {"PostgreSQL": self.postgresql.roots, "RabbitMQ": self.rabbitmq.roots}


@contextmanager
def servers(*, nodes: int = 1) -> Iterator[Servers]:
    """Give both servers.

    Args:
        nodes: of RabbitMQ; several make a cluster, and are always private.
    """
    with ExitStack() as stack:
        given = os.environ.get("CHFW_SR_TEST_POSTGRESQL")
        postgresql = stack.enter_context(_given_database(given) if given else _private_postgresql())
        given = os.environ.get("CHFW_SR_TEST_RABBITMQ")
        private = nodes > 1 or not given
        rabbitmq = stack.enter_context(private_rabbitmq(nodes) if private or not given else _given_vhost(given))
        yield Servers(postgresql, rabbitmq)


def free_port() -> int:
    """Find a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(name: str, *patterns: str) -> str:
    for pattern in patterns:
        if found := sorted(Path("/").glob(pattern)):
            return str(found[-1])
    if found_on_path := shutil.which(name):
        return found_on_path
    raise NoServer(
        f"no {name} is installed here; name servers by CHFW_SR_TEST_POSTGRESQL and CHFW_SR_TEST_RABBITMQ instead"
    )


@contextmanager
def _folder(owner: str | None = None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="chfw-sr-bench-"))
    try:
        if owner:
            shutil.chown(folder, owner)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _eventually(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not done():
        if time.monotonic() > end:
            raise NoServer(f"{what} did not come up within {START_SECONDS:.0f} s")
        time.sleep(0.2)


# --------------------------------------------------------------------------------------------------------- PostgreSQL


def sql(url: str, statement: str, *arguments: object) -> object:
    """Run one statement; give the first value of its answer."""

    async def run() -> object:
        connection = await asyncpg.connect(url.replace("+asyncpg", "", 1), timeout=10)
        try:
            value: object = await connection.fetchval(statement, *arguments)
            return value
        finally:
            await connection.close()

    return asyncio.run(run())


@contextmanager
def _private_postgresql() -> Iterator[Server]:
    programs = Path(_program("postgres", "usr/lib/postgresql/*/bin/postgres")).parent
    user = _unprivileged()
    with _folder(user) as folder:
        initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*initdb, "--locale=C.UTF-8"], check=True, capture_output=True, user=user, cwd=folder)
        port = free_port()
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(port)} | POSTGRESQL
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", *options], user=user, cwd=folder, stdout=log, stderr=log
            )
        url = f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"
        try:
            _eventually(lambda: _answers(url), "PostgreSQL")
            yield Server(url, lambda: [process.pid], str(sql(url, "SHOW server_version")), private=True)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def _answers(url: str) -> bool:
    try:
        sql(url, "SELECT 1")
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False
    return True


def _unprivileged() -> str | None:
    """Name the user that PostgreSQL is to run as: it refuses root."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    name = next((name for name in ("postgres", "nobody") if name in known), None)
    if name is None:
        raise NoServer("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
    return name


@contextmanager
def database(server: Server) -> Iterator[Server]:
    """Give a database of one's own on a server, dropped in the end."""
    name = f"chfw_bench_{secrets.token_hex(6)}"
    sql(server.url, f'CREATE DATABASE "{name}"')
    try:
        url = urlunsplit(urlsplit(server.url)._replace(path=f"/{name}"))
        yield Server(url, server.roots, server.version, server.private)
    finally:
        sql(server.url, f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def _given_database(url: str) -> Iterator[Server]:
    host, port = urlsplit(url).hostname or "127.0.0.1", urlsplit(url).port or 5432
    roots = _listeners(port) if host in {"127.0.0.1", "::1", "localhost"} else []
    with database(Server(url, lambda: roots, str(sql(url, "SHOW server_version")), private=False)) as own:
        yield own


# ----------------------------------------------------------------------------------------------------------- RabbitMQ


class Node:
    """One node of a private RabbitMQ."""

    def __init__(self, folder: Path, number: int, epmd_port: int, peers: int) -> None:
        self.port = free_port()
        self.name = f"bench{number}-{os.getpid()}@localhost"
        self.folder = folder / f"node{number}"
        self.folder.mkdir()
        lines = [f"listeners.tcp.local = 127.0.0.1:{self.port}", "disk_free_limit.absolute = 1GB"]
        if peers > 1:
            lines.append("cluster_formation.peer_discovery_backend = classic_config")
            lines += [
                f"cluster_formation.classic_config.nodes.{each + 1} = bench{each}-{os.getpid()}@localhost"
                for each in range(peers)
            ]
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "plugins").write_text("[].")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        program = _program("rabbitmq-server", "usr/lib/rabbitmq/bin/rabbitmq-server")
        with (self.folder / "out").open("wb") as out:
            self.process = subprocess.Popen(
                [program], env=self.environment, stdout=out, stderr=out, start_new_session=True, cwd=self.folder
            )

    @property
    def url(self) -> str:
        """Where it takes connections."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def answers(self) -> bool:
        """Tell whether it takes connections."""
        if self.process.poll() is not None:
            raise NoServer(f"RabbitMQ has ended: {(self.folder / 'out').read_text()[-2000:]}")
        try:
            with Link(self.url):
                return True
        except OSError:
            return False

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on the node."""
        program = _program("rabbitmqctl", "usr/lib/rabbitmq/bin/rabbitmqctl")
        done = subprocess.run(
            [program, "--quiet", "-n", self.name, *arguments],
            env=self.environment, cwd=self.folder, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def kill(self) -> None:
        """End it; its data go with its folder."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def private_rabbitmq(count: int) -> Iterator[Server]:
    """Give a RabbitMQ of the run's own: one node, or a cluster on this one machine."""
    mapper_port = free_port()
    mapper = subprocess.Popen([_program("epmd"), "-port", str(mapper_port), "-address", "127.0.0.1"])
    nodes: list[Node] = []
    try:
        with _folder() as folder:
            try:
                for number in range(count):
                    nodes.append(Node(folder, number, mapper_port, count))
                    _eventually(nodes[-1].answers, "RabbitMQ")
                version = nodes[0].control("version")
                yield Server(nodes[0].url, lambda: [node.process.pid for node in nodes], version, private=True)
            finally:
                for node in nodes:
                    node.kill()
    finally:
        mapper.kill()
        mapper.wait()


@contextmanager
def _given_vhost(url: str) -> Iterator[Server]:
    parts = urlsplit(url)
    name = f"chfw-bench-{secrets.token_hex(6)}"
    control = [_program("rabbitmqctl", "usr/lib/rabbitmq/bin/rabbitmqctl"), "--quiet"]
    subprocess.run([*control, "add_vhost", name], check=True)
    try:
        permit = ["set_permissions", "-p", name, parts.username or "guest", ".*", ".*", ".*"]
        subprocess.run([*control, *permit], check=True)
        version = subprocess.run([*control, "version"], check=True, capture_output=True, text=True).stdout.strip()
        roots = _listeners(parts.port or 5672)
        yield Server(parts._replace(path=f"/{name}").geturl(), lambda: roots, version, private=False)
    finally:
        subprocess.run([*control, "delete_vhost", name], check=True)


def _listeners(port: int) -> list[int]:
    """Find the topmost process that listens at a port of this machine; needs the right to see its files."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for pid in sorted(int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()):
        try:
            names = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
        except OSError:
            continue
        if names & inodes:
            return [pid]
    raise NoServer(f"cannot see which process listens at port {port}; run as root, or without naming servers")
