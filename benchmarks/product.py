"""The product as its users start it: `chfw-sr` on the command line, and what it says of itself over HTTP."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from chfw_sr.settings import PREFIX

from .servers import Servers, free_port
from .world import World

READY_SECONDS = 60.0
LINE = tuple[str, Mapping[str, str], float]


class Failed(Exception):  # noqa: N818 - it names the outcome
    """The product did not do what it had to."""


def bare_environment() -> dict[str, str]:
    """Give the environment without settings of the developer's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def call(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
    """Run a command of `chfw-sr` to its end, in a folder.

    Raises:
        Failed: with what it said, if it did not end well.
    """
    done = subprocess.run(
        [sys.executable, "-m", "chfw_sr", *arguments],
        env=environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"chfw-sr {' '.join(arguments)}: {done.stderr[-3000:]}")


@dataclass
class Service:
    """One process of `chfw-sr run`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(self, path: str) -> tuple[int, str]:
        """Ask its HTTP server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def is_ready(self) -> bool:
        """Tell whether it can work."""
        if self.process.poll() is not None:
            raise Failed(f"chfw-sr run has ended: {self.log.read_text()[-3000:]}")
        try:
            return self.ask("/readyz")[0] == http.client.OK
        except OSError:
            return False

    def metrics(self) -> Iterator[LINE]:
        """Give every metric: name, labels, value."""
        for line in self.ask("/metrics")[1].splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                name, _, labels = name.partition("{")
                pairs = (each.partition("=") for each in labels.rstrip("}").split(",") if each)
                yield name, {key: text.strip('"') for key, _, text in pairs}, float(value)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the processes have come, all together.

    Attributes:
        codes: Service Requests that were committed, by response code.
        confirmed: messages that RabbitMQ has confirmed.
    """

    codes: Counter[str]
    confirmed: int

    def __sub__(self, earlier: "Progress") -> "Progress":
        codes = Counter({code: count - earlier.codes[code] for code, count in self.codes.items()})
        return Progress(+codes, self.confirmed - earlier.confirmed)


@dataclass
class Product:
    """The product with its settings.

    Args:
        world: whose keys it has.
        servers: where its database and its bus are.
        more: settings that differ from the defaults.
        variables: environment variables that are no settings.
        python: the interpreter that runs `chfw-sr run`.
    """

    world: World
    servers: Servers
    more: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable
    services: list[Service] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The settings as environment, and none of the developer's own."""
        settings = self.world.settings | {
            "requests_per_minute": "0",  # the load is one User's flood; a quota is a rule, not a cost
            "database_url": self.servers.postgresql.url,
            "amqp_url": self.servers.rabbitmq.url,
        }
        return (
            bare_environment()
            | dict(self.variables)
            | {f"{PREFIX}{name.upper()}": value for name, value in (settings | dict(self.more)).items()}
        )

    def call(self, *arguments: str) -> float:
        """Run a command to its end; give the seconds that it took."""
        began = time.perf_counter()
        call(arguments, self.environment, self.world.folder)
        return time.perf_counter() - began

    def set_up(self) -> float:
        """Make schema, Users and queues, and import the hubs; give the seconds that the import took."""
        self.call("migrate")
        self.call("users", "import", str(self.world.users_file))
        self.call("topology", "apply")
        return self.call("inventory", "import", str(self.world.hubs_file))

    @contextmanager
    def running(self, count: int = 1, *options: str, prefix: Sequence[str] = ()) -> Iterator["Product"]:
        """Run so many processes side by side.

        Args:
            count: how many.
            options: of `chfw-sr run`.
            prefix: a program that is to run them, a profiler for instance.
        """
        try:
            for _ in range(count):
                self._start(options, prefix)
            for service in self.services:
                _wait(service.is_ready, READY_SECONDS, "chfw-sr run")
            yield self
        finally:
            self._stop()

    def _start(self, options: Sequence[str], prefix: Sequence[str]) -> None:
        port = free_port()
        log = self.world.folder / f"log-{port}.jsonl"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [*prefix, self.python, "-m", "chfw_sr", "run", "--metrics-port", str(port), *options],
                env=self.environment, cwd=self.world.folder, stdout=subprocess.DEVNULL, stderr=stderr,
            )  # fmt: skip
        self.services.append(Service(process, port, log))

    def _stop(self) -> None:
        for service in self.services:
            if service.process.poll() is None:
                service.process.send_signal(signal.SIGCONT)
                service.process.terminate()
        for service in self.services:
            try:
                service.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()
        self.services.clear()

    def roots(self) -> list[int]:
        """Give the ids of its processes."""
        return [service.process.pid for service in self.services]

    def freeze(self) -> None:
        """Stop its processes where they stand, so that work can be laid ready for them."""
        for service in self.services:
            service.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        for service in self.services:
            service.process.send_signal(signal.SIGCONT)

    def progress(self) -> Progress:
        """Add up what its processes have done since they were started."""
        codes: Counter[str] = Counter()
        confirmed = 0
        for service in self.services:
            for name, labels, value in service.metrics():
                if name == "chfw_sr_requests_total":
                    codes[labels["code"]] += int(value)
                elif name == "chfw_sr_published_total" and labels["result"] == "Confirmed":
                    confirmed += int(value)
        return Progress(codes, confirmed)


def _wait(done: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise Failed(f"{what}: not ready within {seconds:.0f} s")
        time.sleep(0.1)
