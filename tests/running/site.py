"""What a running service needs around it: keys, Users, settings; and processes that are started, asked and stopped."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chfw_sr.campaign.model import User
from chfw_sr.messages import EUI, CampaignID, CreateFirmwareCampaign, Period, RequestID, Role, ServiceRequest
from chfw_sr.service.ports import UserRecord
from chfw_sr.settings import PREFIX, TEST_PREFIX, Settings, load_settings
from chfw_sr.wire import Signer, TrustedCertificate, write_request
from chfw_sr.wire.pki import certificate_pem, issue, key_pem, make_authority

DCC = EUI("90-B3-D5-1F-30-00-00-02")
OPERATOR = EUI("90-B3-D5-1F-30-00-00-03")
DAY = timedelta(days=1)
PATIENCE_SECONDS = 60.0
"""Bounds every wait; none lasts that long unless something is broken."""


def eventually(ask: Callable[[], object], what: str) -> object:
    """Ask again and again until the answer is true; give it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (answer := ask()):
        assert time.monotonic() < end, f"{what}: not within {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.02)
    return answer


@dataclass
class Site:
    """A folder with keys, and the settings that go with it.

    Attributes:
        database_url: of a database with the schema.
        more: further settings; None takes one away.
    """

    folder: Path
    database_url: str
    more: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now = datetime.now(UTC)
        authority = make_authority("Test Authority")
        certificate, key = issue(authority, DCC, "DCC", now - DAY, now + 365 * DAY)
        (self.folder / "dcc.pem").write_bytes(certificate_pem(certificate))
        (self.folder / "dcc.key.pem").write_bytes(key_pem(key))
        (self.folder / "dcc.key.pem").chmod(0o600)
        certificate, key = issue(authority, OPERATOR, "Operator", now - DAY, now + 365 * DAY)
        self.operator = UserRecord(
            User(OPERATOR, "Operator", frozenset({Role.DCC})), (TrustedCertificate(certificate, OPERATOR),)
        )
        self._signer = Signer.of(key, certificate)
        self._counter = 0

    @property
    def values(self) -> dict[str, object]:
        """The settings by name."""
        return {
            "database_url": self.database_url,
            "signing_key": self.folder / "dcc.key.pem",
            "signing_certificate": self.folder / "dcc.pem",
            "metrics_port": 0,
            "idle_seconds": 0.02,
            "tick_seconds": 0.05,
            "probe_seconds": 0.1,
            "grace_seconds": PATIENCE_SECONDS,
        } | self.more

    @property
    def settings(self) -> Settings:
        """The settings."""
        return load_settings(self.values, {})

    @property
    def environment(self) -> dict[str, str]:
        """The settings as environment variables, and none of the developer's own."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(PREFIX) or name.startswith(TEST_PREFIX)
        }
        given = {name: value for name, value in self.values.items() if value is not None}
        return kept | {f"{PREFIX}{name.upper()}": str(value) for name, value in given.items()}

    def request(self) -> tuple[RequestID, bytes]:
        """Make a request that creates a campaign: its RequestID and its octets."""
        self._counter += 1
        request_id = RequestID(originator=OPERATOR, target=DCC, counter=self._counter)
        start = datetime.now(UTC).replace(microsecond=0) + 30 * DAY
        body = CreateFirmwareCampaign(
            campaign_id=CampaignID(f"C-{self._counter}"),
            manufacturer="Acme",
            model="Hub-1",
            firmware_version="02.00",
            pilot_period=Period(start=start, end=start + 30 * DAY),
        )
        return request_id, write_request(ServiceRequest(request_id=request_id, body=body), self._signer)

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "chfw_sr", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    @contextmanager
    def running(self, *options: str) -> Iterator["Service"]:
        """Run `chfw-sr run`; what is not stopped by then is killed in the end."""
        log = self.folder / f"log-{time.monotonic_ns()}.jsonl"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "chfw_sr", "run", *options],
                env=self.environment,
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        try:
            yield Service(process, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


@dataclass
class Service:
    """A process of `chfw-sr run`."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def lines(self) -> list[dict[str, object]]:
        """What it has logged; lines that are no JSON stand under `text`."""
        found = []
        for line in self.log.read_text("utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"text": line})
        return found

    def port(self) -> int:
        """Give the port of its metrics."""

        def find() -> object:
            assert self.process.poll() is None, f"it has ended: {self.log.read_text('utf-8')}"
            return next((line["port"] for line in self.lines if "port" in line), None)

        return int(str(eventually(find, "serving metrics")))

    def ask(self, path: str) -> tuple[int, str]:
        """Ask its HTTP server."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port(), timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def until_ready(self) -> "Service":
        """Wait until /readyz says yes."""
        eventually(lambda: self.ask("/readyz")[0] == 200, "ready")
        return self

    def until_not_ready(self) -> dict[str, str]:
        """Wait until /readyz says no; give its checks."""
        checks = eventually(
            lambda: (answer := self.ask("/readyz"))[0] == 503 and json.loads(answer[1])["checks"], "not ready"
        )
        assert isinstance(checks, dict)
        return checks

    def metric(self, name: str) -> float:
        """Give a metric's value, 0 if it is not there; `name` with its labels as they are written."""
        for line in self.ask("/metrics")[1].splitlines():
            key, _, value = line.rpartition(" ")
            if key == name:
                return float(value)
        return 0.0

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop; give its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_SECONDS)
