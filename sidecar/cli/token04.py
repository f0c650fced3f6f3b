"""``zimwatch token04``: says what a ZIM token is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from sidecar.cli.options import load
from sidecar.clock import now_us
from sidecar.domain import rfc3339
from sidecar.domain.apps import Apps
from sidecar.domain.outside_text import one_line
from sidecar.domain.texts import duration
from sidecar.domain.token04.check import TokenCheck, check
from sidecar.domain.token04.layout import MOST_CHARACTERS, VERSION
from sidecar.domain.units import SECOND_US
from sidecar.settings import secrets_by_app

EXIT_NOT_GOOD: Final = 1
# Of the longest token, with blanks and line breaks around it; what follows is not read.
_MOST_BYTES: Final = 4 * MOST_CHARACTERS


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings file; default ./zimwatch.toml.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def token04(config: Path | None, *, as_json: bool) -> None:
    """Read a ZIM token (Token04) from standard input, and say what it is and what is wrong with it.

    With zego.server_secrets also whether it was made with one of them, for which app and user. The token is given to
    nobody and written nowhere. Exit status: 0 a login with it can work, 1 something is wrong with it.
    """
    settings = load(config, None).settings
    secrets, apps = secrets_by_app(settings.zego.server_secrets), settings.apps.apps()
    if sys.stdin.isatty():
        click.echo("Paste the token, and end with Enter and Ctrl-D.", err=True)
    text = sys.stdin.buffer.read(_MOST_BYTES).decode(errors="replace")
    at_us = now_us()
    found = check(text, at_us, secrets, apps)
    if as_json:
        click.echo(msgspec.json.encode(_view(found, at_us)))
    else:
        for name, value in _lines(found, apps, at_us):
            click.echo(f"{name:<9} {value}")
    if found.problems:
        click.get_current_context().exit(EXIT_NOT_GOOD)


def _view(found: TokenCheck, at_us: int) -> dict[str, Any]:
    expires_us = found.expires_at_us
    return {
        "good": not found.problems,
        "version": VERSION if found.cipher else None,
        "cipher": found.cipher,
        "expires_at": None if expires_us is None else rfc3339.text(expires_us),
        "expires_in_s": None if expires_us is None else (expires_us - at_us) // SECOND_US,
        "problems": [
            {"kind": one.kind, "code": one.code, "summary": str(one.text), "advice": str(one.advice)}
            for one in found.problems
        ],
        "notes": [str(note) for note in found.notes],
        "tried_app_ids": found.tried,
        "app_id": found.app_id,
        "content": found.content,
    }


def _lines(found: TokenCheck, apps: Apps, at_us: int) -> list[tuple[str, str]]:
    lines = []
    if found.expires_at_us is not None:
        left_us = found.expires_at_us - at_us
        left = f"in {duration(left_us)}" if left_us > 0 else f"{duration(-left_us)} ago"
        lines += [("version", VERSION), ("cipher", str(found.cipher))]
        lines.append(("expires", f"{rfc3339.text(found.expires_at_us)}, {left}"))
    if found.app_id is not None:
        lines.append(("made with", f"the ServerSecret of app {apps.in_full(found.app_id)}"))
    if found.content is not None:
        lines.append(("user", one_line(str(found.content.user_id))))
        lines.append(("content", one_line(msgspec.json.encode(found.content).decode())))
    for problem in found.problems:
        code = "" if problem.code_text is None else f"{problem.code_text}. "
        lines += [("problem", f"{code}{problem.text}"), ("do", str(problem.advice))]
    lines += [("note", str(note)) for note in found.notes]
    return lines if found.problems else [*lines, ("good", "A login with it can work, as far as can be seen from here.")]
