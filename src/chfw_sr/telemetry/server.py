"""The small HTTP server of a running process: /metrics, /healthz and /readyz.

It has threads of its own, so that it answers, and says so, when the event loop is stuck. It is bounded: a few requests
at once, a few seconds each; whoever comes while all are busy is hung up on.
"""

import json
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6, socket
from types import TracebackType
from typing import Any, ClassVar, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from .health import Health, Report

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 8
REQUEST_SECONDS = 5.0

Answer = tuple[HTTPStatus, str, bytes]
"""Status, content type and body."""


class TelemetryServer(AbstractContextManager["TelemetryServer"]):
    """Serves metrics and health while it is entered.

    Args:
        host: address to listen on.
        port: port to listen on; 0 takes any that is free.
        health: what is asked for /healthz and /readyz.
        registry: what is collected for /metrics.

    Raises:
        OSError: if the port is taken, on construction.
    """

    def __init__(self, host: str, port: int, *, health: Health, registry: CollectorRegistry) -> None:
        routes: dict[str, Callable[[str], Answer]] = {
            "/metrics": lambda accepted: _metrics(registry, accepted),
            "/healthz": lambda _: _report(health.live()),
            "/readyz": lambda _: _report(health.ready()),
        }
        handler = type("Handler", (_Handler,), {"routes": routes})
        server = _BoundedServer6 if ":" in host else _BoundedServer
        self._server = server((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="telemetry", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _BoundedServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(*arguments)

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:  # noqa: ARG002
        logger.debug("a request to the telemetry server was cut short: %s", sys.exception())


class _BoundedServer6(_BoundedServer):
    address_family = AF_INET6


class _Handler(BaseHTTPRequestHandler):
    routes: ClassVar[dict[str, Callable[[str], Answer]]]
    timeout = REQUEST_SECONDS
    server_version = "chfw-sr"
    sys_version = ""

    def do_GET(self) -> None:
        route = self.routes.get(self.path.partition("?")[0])
        if route is None:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"/metrics, /healthz, /readyz\n")
        else:
            self._answer(*route(self.headers.get("Accept", "")))

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it
        logger.debug(format, *arguments)


def _metrics(registry: CollectorRegistry, accepted: str) -> Answer:
    encode, content_type = choose_encoder(accepted)
    return HTTPStatus.OK, content_type, encode(registry)


def _report(report: Report) -> Answer:
    status = HTTPStatus.OK if report.ok else HTTPStatus.SERVICE_UNAVAILABLE
    body = json.dumps({"ok": report.ok, "checks": dict(report.checks)}) + "\n"
    return status, "application/json", body.encode()
