"""Writes the parts of the reference that follow from the code: findings, HTTP, events, error codes and options."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from sidecar.cli import overview
from sidecar.cli.commands import command
from sidecar.domain.error_codes import CODES
from sidecar.domain.findings import CHECKS, Check

ROOT: Final = Path(__file__).parents[1]
MARK: Final = "<!-- The rest is written by `make schemas` from {}. -->\n"
_METHODS: Final = ("get", "post", "put", "patch", "delete")


def _findings() -> str:
    return "".join(map(_finding, CHECKS))


def _finding(check: type[Check]) -> str:
    advice = "\n".join(f"- {one.template}" for one in check.advice)
    return (
        f"\n## `{check.kind}`\n\n"
        f"{check.title.template}: **{check.severity}** at most.\n\n"
        f"| | |\n|---|---|\n"
        f"| evidence | {check.evidence.template} |\n"
        f"| threshold | {check.threshold.template} |\n"
        f"| holds | {check.lifetime.template} |\n"
        f"| source | <{check.source}> |\n\n"
        f"> {check.say.template}\n\n"
        f"{advice}\n"
    )


def _table(*rows: tuple[str, ...]) -> str:
    head, *others = ["| " + " | ".join(row) + " |\n" for row in rows]
    return head + "|---" * len(rows[0]) + "|\n" + "".join(others)


def _http() -> str:
    def needed(operation: Mapping[str, Any]) -> str:
        actions = {action for way in operation["security"] for each in way.values() for action in each}
        return ", ".join(f"`{action}`" for action in sorted(actions)) or "-"

    def names(operation: Mapping[str, Any]) -> str:
        return ", ".join(f"`{one['name']}`" for one in operation.get("parameters", []) if one["in"] != "path") or "-"

    calls = [
        (f"`{method.upper()} {path}`", operation["summary"], needed(operation), names(operation))
        for path, operations in _schema("openapi.json")["paths"].items()
        for method, operation in operations.items()
        if method in _METHODS
    ]
    return "\n" + _table(("call", "does", "action", "parameters"), *calls)


def _events() -> str:
    event = _schema("event.v1.json")
    properties = {"type": {"enum": []}, **event["properties"]}
    all_have = [_field(name, found, event["required"]) for name, found in properties.items() if name != "type"]
    kinds = [
        f"\n### `{kind['title']}`\n\n"
        + (_table(_FIELD, *fields) if (fields := list(_own(kind))) else "No field of its own.\n")
        for kind in event["oneOf"]
    ]
    return "\n## Fields of each event\n\n" + _table(_FIELD, *all_have) + "\n## Types\n" + "".join(kinds)


_FIELD: Final = ("field", "type", "meaning")


def _own(kind: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, found in kind["properties"].items():
        if name != "type":
            yield _field(name, found, kind.get("required", []))


def _field(name: str, found: Mapping[str, Any], required: list[str]) -> tuple[str, ...]:
    types = [found["type"]] if isinstance(found["type"], str) else found["type"]
    kind = " or ".join(one for one in types if one != "null")
    if "properties" in found:
        kind = "object of " + ", ".join(f"`{inner}`" for inner in found["properties"])
    form = f", {found['format']}" if "format" in found else ""
    longest = f", {found['maxLength']} characters at most" if "maxLength" in found else ""
    needed = "**required.** " if name in required else ""
    return f"`{name}`", kind + form + longest, (needed + found.get("description", "")).strip() or "-"


def _error_codes() -> str:
    return "\n" + _table(("code", "means"), *((f"`{code}`", one.template) for code, one in CODES.items()))


def _options() -> str:
    def records(one: click.Command) -> Iterator[tuple[str, str]]:
        context = click.Context(one)
        found = (param.get_help_record(context) for param in one.params if isinstance(param, click.Option))
        return ((f"`{names}`".replace("|", "\\|"), " ".join(said.split())) for names, said in filter(None, found))

    def called(name: str, one: click.Command) -> str:
        words = [word for word in one.collect_usage_pieces(click.Context(one)) if word != "[OPTIONS]"]
        return f"`{' '.join(['zimwatch', name, *words])}`".replace("|", "\\|")

    known = dict(_commands())
    shared = set(records(known["db check"]))
    of_all = [
        (*option, ", ".join(f"`{name}`" for name, one in known.items() if option not in records(one)))
        for option in records(known["db check"])
    ]
    own = [
        (called(name, one), *option)
        for name, one in known.items()
        for option in [option for option in records(one) if option not in shared] or [("-", "")]
    ]
    return (
        "\n## Options of most commands\n\n"
        + _table(("option", "is", "all commands have it but"), *of_all)
        + "\n## Options of single commands\n\n"
        + _table(("command", "option", "is"), *own)
    )


def _commands() -> Iterator[tuple[str, click.Command]]:
    for name in overview.COMMANDS:
        found = command(name)
        if isinstance(found, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in found.commands.items())
        else:
            yield name, found


def _schema(name: str) -> Any:
    return json.loads((ROOT / "schemas" / name).read_text(encoding="utf-8"))


WRITTEN: Final[Mapping[str, tuple[str, Callable[[], str]]]] = {
    "findings": ("sidecar/domain/findings", _findings),
    "http": ("schemas/openapi.json", _http),
    "events": ("schemas/event.v1.json", _events),
    "commands": ("sidecar/cli", _options),
    "error-codes": ("sidecar/domain/error_codes.py", _error_codes),
}
"""Each document of ``docs/``: what it is written from, and by which function."""


def document(name: str) -> Path:
    """The file of a name in :data:`WRITTEN`."""
    return ROOT / f"docs/{name}.md"


def updated(name: str, text: str) -> str:
    """The document with its written part as the code has it; ValueError without the mark before that."""
    source, written = WRITTEN[name]
    mark = MARK.format(source)
    return text[: text.index(mark)] + mark + written()


if __name__ == "__main__":
    for each in WRITTEN:
        path = document(each)
        path.write_text(updated(each, path.read_text(encoding="utf-8")), encoding="utf-8")
