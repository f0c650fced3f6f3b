"""Renders each template of the settings once, in a child process with a limit of CPU time and memory."""

from __future__ import annotations

import contextlib
import signal
import subprocess  # noqa: TID251 - before anything is served, and blocking
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import jinja2
import msgspec

from sidecar.alerting.notify.message_templates import MessageTemplate
from sidecar.alerting.payloads import message_body
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain.alerts.alert import Alert, Subject
from sidecar.domain.alerts.rules.kicked_out import KickedOut
from sidecar.domain.apps import Apps
from sidecar.domain.texts import verbatim
from sidecar.domain.units import HOUR_US

# The CPU time for the samples of a template, and the memory beside what the child uses before it.
RENDER_S: Final = 1.0
STARTS_S: Final = 60.0
RENDER_BYTES: Final = 256 * 1024 * 1024
_DIGEST_OF: Final = 1_000
_BASE: Final = "https://zimwatch.example.com"
_APPS: Final = Apps({1_234_567_890: "An app with a name"}, "https://office.example.com/{app_id}/{user_id}")


def template_problems(templates: Sequence[str]) -> list[str | None]:
    """For each template the rest of a sentence with its problem; None where every sample renders in time.

    A syntax error is no problem here: reading the settings names it.
    """
    found: list[str | None] = []
    # Only a process can be stopped whatever a template does. The next one continues behind the template that ended it.
    while len(found) < len(templates):
        left = templates[len(found) :]
        child = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", __name__],
            input=msgspec.json.encode(left),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=STARTS_S + RENDER_S * len(left),
        )
        found += [msgspec.json.decode(line, type=str | None) for line in child.stdout.splitlines()]
        if len(found) < len(templates):
            in_time = child.returncode != -signal.SIGPROF
            found.append(_TOO_LARGE if in_time else f"takes longer than {RENDER_S:.0f} s to make a message")
    return found


_TOO_LARGE: Final = f"needs more than {RENDER_BYTES >> 20} MB to make a message"


def _problem(text: str) -> str | None:
    try:
        jinja2.Environment(autoescape=True).parse(text)
    except jinja2.TemplateSyntaxError:
        return None
    try:
        template = MessageTemplate(text)
        for message in _samples():
            template.render(message)
    except jinja2.TemplateSyntaxError as error:
        return f"is refused: {(error.message or '').rstrip('.')}, line {error.lineno}"
    except MemoryError:
        return _TOO_LARGE
    except Exception as error:  # noqa: BLE001 - whatever a template may raise
        return f"fails: {str(error).rstrip('.') or type(error).__name__}"
    return None


def _main() -> None:
    templates = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])
    _limit_memory()
    for text in templates:
        signal.setitimer(signal.ITIMER_PROF, RENDER_S)  # of CPU time; ends this process
        problem = _problem(text)
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.buffer.write(msgspec.json.encode(problem) + b"\n")
        sys.stdout.buffer.flush()


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - there is none on Windows

        with open("/proc/self/statm", encoding="ascii") as sizes:  # noqa: PTH123 - a pseudo file
            used = int(sizes.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + RENDER_BYTES, resource.RLIM_INFINITY))


def _samples() -> Iterator[Message]:
    """A message of each kind, with the most content that one may have."""
    for what in ("firing", "repeat", "resolved", "acknowledged"):
        for count in (1, _DIGEST_OF):
            alerts = [_sample_alert(number) for number in range(1, count + 1)]
            body = message_body(what, alerts, _BASE, _APPS, "", is_digest=count > 1, now_us=HOUR_US)
            yield Message(
                id=1,
                public_id="msg_sample",
                receiver="sample",
                what=what,
                alert_id=1 if count == 1 else None,
                answers=None,
                alerts=count,
                body=body,
                state="pending",
                attempts=0,
                created_at_us=0,
                due_at_us=0,
                tried_at_us=None,
                sent_at_us=None,
                error=None,
                proof=None,
            )


def _sample_alert(number: int) -> Alert:
    return Alert(
        id=number,
        kind=KickedOut.kind,
        fingerprint="0" * 32,
        severity=KickedOut.severity,
        subject=Subject(1_234_567_890, f"user {number}"),
        started_at_us=0,
        opened_at_us=0,
        ended_at_us=1_000_000,
        summary=verbatim(f"user {number} was kicked out on Android (pixel-7)"),
        end_reason=verbatim("the user is online again"),
        acknowledged_by="dana",
        labels={"platform": "Android", "sdk_version": "2.29.0", "app_version": "1.0", "device_id": "pixel-7"},
    )


if __name__ == "__main__":
    _main()
