"""Logs to stderr: one line an event, JSON unless stderr is a terminal, with the ids of the current trace."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from typing import TYPE_CHECKING, Final, TextIO

import structlog
from opentelemetry import trace

from sidecar.domain.outside_text import one_line
from sidecar.domain.units import MINUTE_US

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, Processor, WrappedLogger

    from sidecar.settings import LogSettings


# Without local variables: a token may be among them.
_traceback = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def add_trace_ids(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Adds ``trace_id`` and ``span_id`` (lower-case hex) of the current span, where there is one."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def in_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escapes all text of a line, which may come from a sender, a receiver or another program."""
    return {name: value if name == "exc_info" else _safe(value) for name, value in event.items()}


def _safe(value: object) -> object:
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, dict):
        return {_safe(name): _safe(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(one) for one in value]
    return value


def _plain_traceback(stream: TextIO, error: structlog.typing.ExcInfo) -> None:
    """A traceback in lines for a terminal; line breaks in the error's message are escaped."""
    written = io.StringIO()
    structlog.dev.plain_traceback(written, error)
    message = "".join(traceback.format_exception_only(error[1])).rstrip("\n")
    text = written.getvalue().replace(message, one_line(message)) if message else written.getvalue()
    stream.write("\n".join(one_line(line) for line in text.split("\n")))


def without_messages(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leaves of an unexpected error its type and its lines of code: its message may have the id of a user in it."""
    if event.get("logger") == "asyncio":  # whose text has the error and the task
        event["event"] = str(event["event"]).partition("\n")[0]
    error = _error_of(event.pop("exc_info", None))
    if error is None:
        return event
    message, kind = str(error), type(error).__name__
    if message:
        event = {name: _without(value, message, kind) for name, value in event.items()}
    lines = [f"{one.filename}:{one.lineno} {one.name}" for one in traceback.extract_tb(error.__traceback__)]
    return {**event, "error_type": kind, "error_at": lines}


def _error_of(given: object) -> BaseException | None:
    """The error that ``exc_info`` is about: itself, a tuple with it, or true for the one that is being handled."""
    if isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        return given
    return sys.exc_info()[1] if given else None


def _without(value: object, message: str, kind: str) -> object:
    return value.replace(message, kind) if isinstance(value, str) else value


def configure(settings: LogSettings, stream: TextIO | None = None, *, quotes_errors: bool = True) -> None:
    """Sends the records of structlog and of the standard library to ``stream`` (default: stderr).

    Without ``quotes_errors`` the messages of unexpected errors are left out.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_trace_ids,
    ]
    as_json = settings.format == "json" or (settings.format == "auto" and not stream.isatty())
    # The console's own traceback shows local variables where rich is installed, and with them tokens and secrets.
    rendering: list[Processor] = (
        [_traceback, in_one_line, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if as_json
        else [
            in_one_line,
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=_plain_traceback),
        ]
    )
    if not quotes_errors:
        rendering.insert(0, without_messages)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # INFO of alembic says nothing, and DEBUG of urllib3 has the paths that Apprise calls, which are secret.
    for name in ("alembic", "urllib3"):
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class Bounded:
    """Limits a log line that a sender can cause to one a minute, by ``clock`` in microseconds."""

    EVERY_US: Final = MINUTE_US

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._written_us: int | None = None
        self._unwritten = 0

    def more(self) -> int | None:
        """The number of lines suppressed since the last one; None if this one is to be suppressed too."""
        now_us = self._clock()
        if self._written_us is not None and 0 <= now_us - self._written_us < self.EVERY_US:
            self._unwritten += 1
            return None
        unwritten, self._unwritten, self._written_us = self._unwritten, 0, now_us
        return unwritten
