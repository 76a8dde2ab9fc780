"""Servers of the tests' own, which may be stopped and killed, and proxies before servers.

Everything listens on loopback only, at ports that were free, and is stopped by its own id. What cannot be had on this
machine is skipped loudly, or fails where servers are required.
"""

import asyncio
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import asyncpg

from tests.servers import require

from .evidence import eventually, losses_pass

LAST_WORDS = 100
"""Lines of its log that a server leaves behind where a test fails."""

START_SECONDS = 180.0
CONTROL_SECONDS = 240.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _folder(owner: str | None = None) -> Iterator[Path]:
    """Give a folder that another user may enter; pytest's own may be entered by nobody else."""
    folder = Path(tempfile.mkdtemp(prefix="chfw-sr-faults-"))
    try:
        if owner:
            shutil.chown(folder, owner)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str, *patterns: str) -> str | None:
    """Find a program of a server: beside the others of its newest version, else on the path."""
    for pattern in patterns:
        if found := sorted(Path("/").glob(pattern)):
            return str(found[-1])
    return shutil.which(name)


# --------------------------------------------------------------------------------------------------------- PostgreSQL


class PrivatePostgreSQL:
    """A PostgreSQL that may be stopped at once; use `private_postgresql`."""

    def __init__(self, folder: Path, programs: Path, user: str | None) -> None:
        self._folder = folder
        self._programs = programs
        self._user = user
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self._port}/postgres"

    def initialise(self) -> None:
        """Make the cluster."""
        command = [
            self._programs / "initdb",
            "-D",
            self._folder / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        subprocess.run(command, check=True, capture_output=True, user=self._user, cwd=self._folder, timeout=120)

    async def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": self._port}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._programs / "postgres",
                *("-D", self._folder / "data", *options),
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        await eventually(self._answers, START_SECONDS, "PostgreSQL answers")

    async def stop_immediately(self) -> None:
        """Stop as `pg_ctl stop -m immediate` does: no checkpoint, every connection dies."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGQUIT)
            await self._process.wait()

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url.replace("+asyncpg", ""), timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True


@asynccontextmanager
async def private_postgresql() -> AsyncIterator[PrivatePostgreSQL]:
    """Give a running PostgreSQL; skips the test if there is none to start."""
    postgres = _program("postgres", "usr/lib/postgresql/*/bin/postgres")
    require(None if postgres else "no PostgreSQL is installed here that could be started privately")
    assert postgres
    user = _unprivileged()
    with _folder(user) as folder:
        server = PrivatePostgreSQL(folder, Path(postgres).parent, user)
        server.initialise()
        try:
            await server.start()
            yield server
        finally:
            await server.stop_immediately()


def _unprivileged() -> str | None:
    """Name the user that PostgreSQL is to run as: it refuses root."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    found = next((name for name in ("postgres", "nobody") if name in known), None)
    require(None if found else "PostgreSQL refuses to run as root, and there is no user postgres or nobody")
    return found


async def terminate_backends(database_url: str) -> int:
    """End every other connection to a database; give how many there were."""
    connection = await asyncpg.connect(database_url.replace("+asyncpg", ""), timeout=10)
    try:
        return int(
            await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    finally:
        await connection.close()


class Proxy:
    """Passes on what is said between clients and a server.

    Args:
        targets: where to; each new connection gets the next one that answers, as from a balancer before a cluster.
    """

    def __init__(self, *targets: tuple[str, int]) -> None:
        self._targets = targets
        self._turns = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def behind(self, url: str, query: str = "") -> str:
        """Give a URL that leads through this proxy."""
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}", query=query))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Proxy"]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            self.cut()
            await self._server.wait_closed()

    def cut(self) -> None:
        """Cut every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turns += 1
        first = self._turns % len(self._targets)
        for host, port in (*self._targets[first:], *self._targets[:first]):
            try:
                upstream, server = await asyncio.open_connection(host, port)
            except OSError:
                continue
            break
        else:
            writer.transport.abort()
            return
        self._writers |= {writer, server}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(upstream, writer, (writer, server), self.answer_passes))
                group.create_task(self._pump(reader, server, (writer, server), self.request_passes))
        finally:
            self._writers -= {writer, server}

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        passes: Callable[[bytes], bool],
    ) -> None:
        tail = b""
        try:
            while octets := await source.read(2**16):
                if not passes(tail + octets):
                    for writer in both:
                        writer.transport.abort()
                    return
                tail = octets[-16:]
                sink.write(octets)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    def answer_passes(self, octets: bytes) -> bool:
        """Tell whether what the server says may pass; if not, the connection is cut."""
        return True

    def request_passes(self, octets: bytes) -> bool:
        """Tell whether what a client says may pass; if not, the connection is cut."""
        return True


class CommitCutter(Proxy):
    """Before PostgreSQL: cuts some connections at the moment when the server says that a transaction is committed.

    A statement that stands alone, as the relay's do, is a transaction, too.

    Args:
        target: the server.
        seed: of the choice.
    """

    _COMPLETE = re.compile(rb"C\x00\x00\x00.(?:COMMIT|SELECT \d+)\x00Z\x00\x00\x00\x05I", re.DOTALL)
    """CommandComplete and ReadyForQuery, in no transaction (PostgreSQL frontend/backend protocol, message formats)."""

    def __init__(self, target: tuple[str, int], *, seed: int = 1) -> None:
        super().__init__(target)
        self._random = random.Random(seed)
        self._until_next = 3
        self.active = False
        self.cuts = 0

    def answer_passes(self, octets: bytes) -> bool:
        if not self.active or self._COMPLETE.search(octets) is None:
            return True
        self._until_next -= 1
        if self._until_next > 0:
            return True
        self._until_next = self._random.randint(1, 8)
        self.cuts += 1
        return False


# ----------------------------------------------------------------------------------------------------------- RabbitMQ


class PrivateRabbit:
    """One node of a private RabbitMQ; use `private_rabbits`."""

    def __init__(self, folder: Path, number: int, epmd_port: int, peers: int, *, management: bool = False) -> None:
        self.port = free_port()
        self.management_port = free_port() if management else None
        self.name = f"faults{number}-{os.getpid()}@localhost"
        self._home = folder
        self._folder = folder / f"node{number}"
        self._epmd_port = epmd_port
        self._distribution_port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._folder.mkdir()
        lines = [
            f"listeners.tcp.local = 127.0.0.1:{self.port}",
            "cluster_partition_handling = pause_minority",
            "disk_free_limit.absolute = 50MB",
        ]
        if peers > 1:
            lines.append("cluster_formation.peer_discovery_backend = classic_config")
            lines += [
                f"cluster_formation.classic_config.nodes.{each + 1} = faults{each}-{os.getpid()}@localhost"
                for each in range(peers)
            ]
        if management:
            lines += [f"management.tcp.port = {self.management_port}", "management.tcp.ip = 127.0.0.1"]
        (self._folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self._folder / "plugins").write_text("[rabbitmq_management]." if management else "[].")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    async def start(self) -> None:
        """Start the node and wait until it takes connections."""
        program = _program("rabbitmq-server", "usr/lib/rabbitmq/bin/rabbitmq-server")
        assert program
        with (self._folder / "out").open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                program, env=self._environment(), stdout=out, stderr=out, start_new_session=True, cwd=self._folder
            )
        await eventually(self._answers, START_SECONDS, f"{self.name} takes connections")

    def last_words(self) -> str:
        """Give the end of the node's log, which goes with the test."""
        logs = sorted((self._folder / "log").glob("*.log"))
        lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
        return "\n".join([f"{self.name} logged last:", *lines[-LAST_WORDS:]])

    async def kill(self) -> None:
        """Kill the node: no goodbye, no flush."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on the node; give what it prints."""
        program = _program("rabbitmqctl", "usr/lib/rabbitmq/bin/rabbitmqctl")
        assert program
        process = await asyncio.create_subprocess_exec(
            program,
            *("--quiet", "-n", self.name, *arguments),
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
        )
        out, _ = await asyncio.wait_for(process.communicate(), CONTROL_SECONDS)
        assert process.returncode == 0, out.decode()
        return out.decode()

    async def remember_queues(self) -> None:
        """Have the node write down which quorum queues there are.

        It does so by itself about a second after a queue was made. Killed before that, it comes back with a queue that
        has no leader and never gets one (seen 11 times in 11, for the queue that was made last, with RabbitMQ 3.10).
        """
        await self.control("eval", "[ok = dets:sync(Each) || Each <- dets:all()].")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def members_online(self, queue: str) -> int:
        """Count the nodes that are in step with a quorum queue."""
        listed = json.loads(await self.control("list_queues", "name", "online", "--formatter", "json"))
        return next(len(each["online"]) for each in listed if each["name"] == queue)

    async def leader_of(self, queue: str) -> str:
        """Name the node that leads a quorum queue."""
        listed = json.loads(await self.control("list_queues", "name", "leader", "--formatter", "json"))
        return next(str(each["leader"]) for each in listed if each["name"] == queue)

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.returncode is None, (self._folder / "out").read_text()[-2000:]
        with losses_pass():
            connection = await aio_pika.connect(self.url, timeout=2)
            await connection.close()
            return True
        return False

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }


@asynccontextmanager
async def private_rabbits(count: int = 1, *, management: bool = False) -> AsyncIterator[list[PrivateRabbit]]:
    """Give running nodes of one cluster; skips the test if there is no RabbitMQ to start.

    Args:
        count: how many.
        management: with the management plugin.
    """
    epmd = _program("epmd")
    there = epmd and _program("rabbitmq-server", "usr/lib/rabbitmq/bin/rabbitmq-server")
    require(None if there else "no RabbitMQ is installed here that could be started privately")
    assert epmd
    port = free_port()
    mapper = await asyncio.create_subprocess_exec(epmd, "-port", str(port), "-address", "127.0.0.1")
    try:
        with _folder() as folder:
            nodes = [PrivateRabbit(folder, number, port, count, management=management) for number in range(count)]
            try:
                for node in nodes:
                    await node.start()
                yield nodes
            except AssertionError as error:
                for node in nodes:
                    error.add_note(node.last_words())
                raise
            finally:
                await asyncio.gather(*(node.kill() for node in nodes))
    finally:
        mapper.kill()
        await mapper.wait()
