"""The log: one line an event, on stderr, with what it concerns (RequestID, campaign) as fields of its own.

Configured once, for this package and for every library that logs through the standard library. Passwords in URLs are
taken out of the finished line, tracebacks included; control characters, which may come from outside, are shown as
escapes, so that nobody writes lines of his own.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from .redaction import redact

QUIET = ("aio_pika", "aiormq", "aiosqlite", "asyncio", "sqlalchemy", "alembic")
"""Libraries whose debug and info lines are for their developers."""


_OF_MANY_LINES = ("exception", "stack")


def configure_logging(level: str, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Set up the log; what was set up before is replaced.

    Args:
        level: `debug`, `info`, `warning` or `error`: this and everything graver.
        as_json: one JSON object a line; else a line for people.
        stream: where to; stderr if absent.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    ]
    last: list[Processor] = [structlog.processors.format_exc_info]
    if as_json:
        last.append(structlog.processors.JSONRenderer(default=str))
    else:
        plain = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        last += [_escape, plain]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared[:-1], processors=[shared[-1], *last[:-1], _redacted(last[-1])]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


def _redacted(renderer: Processor) -> Callable[[Any, str, EventDict], str]:
    def render(logger: Any, name: str, event: EventDict) -> str:
        return redact(str(renderer(logger, name, event)))

    return render


def _escape(_logger: Any, _name: str, event: EventDict) -> EventDict:
    return {
        key: _visible(value, "\n\t" if key in _OF_MANY_LINES else "") if isinstance(value, str) else value
        for key, value in event.items()
    }


def _visible(text: str, kept: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in kept
        else each.encode("unicode_escape", "backslashreplace").decode("ascii")
        for each in text
    )
