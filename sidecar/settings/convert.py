"""Converts given values to settings, with a sentence for each problem."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from sidecar.domain.alerts.hours import zone
from sidecar.domain.alerts.labels import MATCHED
from sidecar.settings.alert_settings import (
    AlertSettings,
    ReceiverSettings,
    ReceiverTypes,
    RouteSettings,
    signing_secret_problem,
)
from sidecar.settings.assertion_settings import AssertionSettings
from sidecar.settings.sections import Settings

MASK: Final = "********"
WRONG: Final = object()
"""The result for an invalid value, for which there is a problem."""

_URL: Final = re.compile(r"(?<=://)[^\s\"']+")
RECEIVERS: Final = "alerts.receivers"
# Settings that are lists of tables: [[alerts.receivers]]. The type of a receiver is in its table.
_TABLES: Final = {RECEIVERS: ReceiverSettings, "alerts.routes": RouteSettings, "ingest.assertions": AssertionSettings}


class Given(msgspec.Struct, frozen=True):
    """A value before its check. ``as_text``: it was text in its source (environment), so that "8790" is a number."""

    value: object
    source: str
    as_text: bool = False


def _hints() -> dict[str, Any]:
    return {
        f"{section}.{key}": hint
        for section, struct in get_type_hints(Settings).items()
        for key, hint in get_type_hints(struct, include_extras=True).items()
    }


HINTS: Final = _hints()
"""The type of every setting, by ``section.key``."""


def _metas(hint: Any) -> Iterator[Meta]:  # noqa: ANN401 - a type hint may be anything
    """The Metas of an annotated type, also within ``… | None``."""
    yield from (meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta))
    for inner in getattr(hint, "__args__", ()):
        yield from _metas(inner)


def masked(hint: Any, value: object) -> object:  # noqa: ANN401 - same
    """The value of a setting of this type as it may be shown; an empty one unmasked."""
    secret = next((found for meta in _metas(hint) if (found := (meta.extra or {}).get("secret"))), None)
    if value in (None, "", ()) or secret is None:
        return _tables(value)
    if secret == "path":  # noqa: S105 - the part that is secret
        scheme, _, rest = str(value).partition("://")
        host = re.split(r"[/?#]", _without_password(rest), maxsplit=1)[0].rpartition("@")[2]
        return f"{scheme}://{host}/{MASK}"
    return MASK


def _tables(value: object) -> object:
    """The same for the tables of a list, without their unset keys."""
    if isinstance(value, str):
        return without_password(value)
    if isinstance(value, tuple):
        return [_tables(one) for one in value]
    if isinstance(value, dict):
        return {name: _tables(one) for name, one in value.items()}
    if not isinstance(value, msgspec.Struct):
        return value
    shown: dict[str, object] = {}
    if isinstance(value, ReceiverSettings):
        shown["type"] = value.type_name
    for name, hint in get_type_hints(type(value), include_extras=True).items():
        if (own := getattr(value, name)) is not None:
            shown[name] = masked(hint, own)
    return shown


def without_password(text: str) -> str:
    """The text with the credentials of URLs masked."""
    return _URL.sub(lambda found: _without_password(found[0]), text)


def _without_password(rest: str) -> str:
    """The same for what follows ``://``. A password that was not encoded may hold ``@`` and ``/``."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, _ = authority.partition("@")
    if not at:
        host, colon, port = authority.rpartition(":")
        if not colon or port.isdigit() or port.endswith("]") or host.startswith("[") or "@" not in rest:
            before, mark, inner = rest.partition("://")  # of a URL in the path or the query
            return before + mark + _without_password(inner) if mark else rest
        user = authority
    name, colon, _ = user.partition(":")
    if not colon:
        return f"{MASK}@{rest.partition('@')[2]}"
    return f"{name}:{MASK}@{rest.rpartition('@')[2]}"


def setting(key: str, found: Given, problems: list[str], receivers: ReceiverTypes) -> object:
    """The value of ``section.key``; with problems, which are appended, WRONG or the valid parts of tables."""
    if key in _TABLES:
        return _list_of_tables(key, found, problems, receivers)
    value = found.value
    if found.as_text and isinstance(value, str):
        kind = get_origin(getattr(HINTS[key], "__origin__", None))
        if kind is tuple:
            value = [part.strip() for part in value.split(",") if part.strip()]
        elif kind is dict:
            with contextlib.suppress(msgspec.DecodeError):
                value = msgspec.json.decode(value)
    return _value(key, HINTS[key], msgspec.structs.replace(found, value=value), problems)


def contradictions(alerts: AlertSettings, *, knows_receivers: bool = True) -> list[str]:
    """Problems of settings that are valid each by itself. Not ``knows_receivers``: these could not be read."""
    problems = []
    names = [one.name for one in alerts.receivers]
    for number, one in enumerate(alerts.receivers):
        where = f"alerts.receivers[{number}]"
        if one.name and one.name in names[:number]:
            problems.append(f"{where}.name is {one.name}, which is the name of another receiver.")
        problems += _of_template(f"{where}.template", one.template)
        problems += [f"{where}.{problem}" for problem in one.problems()]
    for number, route in enumerate(alerts.routes):
        where = f"alerts.routes[{number}]"
        if knows_receivers:
            unknown = [name for name in route.receivers if name not in names]
            problems += [f"{where}.receivers names {name}, which is no receiver." for name in unknown]
        problems += _of_match(where, route.match)
        problems += _of_timezone(where, route.timezone)
    problems += _of_kinds(alerts.off)
    if (why := signing_secret_problem(alerts.chatops_secret)) is not None:
        problems.append(f"alerts.chatops_secret {why}")
    return problems


def _of_kinds(named: Collection[str]) -> Iterator[str]:
    if not named:
        return
    from sidecar.domain.alerts.rules import KINDS  # noqa: PLC0415 - most settings name no kind

    if not KINDS.keys() >= set(named):
        yield f"alerts.off must be a list of kinds out of {', '.join(KINDS)}."


def _of_match(where: str, match: Mapping[str, Any]) -> Iterator[str]:
    """Values that no alert can have: a route with one of them would silently match nothing."""
    if not match:
        return
    from sidecar.domain.alerts.matched_values import values_instead  # noqa: PLC0415 - with all the rules

    for name, given in match.items():
        for value in given if isinstance(given, tuple) else (given,):
            text = str(value)
            if (known := values_instead(name, text)) is not None:
                yield f"{where}.match.{name} has {text!r}, which is none of {', '.join(known)}."
            elif name == "app_id" and not text.replace("*", "").isdigit() and text != "*":
                yield f"{where}.match.app_id has {text!r}, which is no AppID."


def _of_timezone(where: str, name: str) -> Iterator[str]:
    if name == "UTC":
        return
    from zoneinfo import ZoneInfoNotFoundError, available_timezones  # noqa: PLC0415 - few settings name a zone

    try:
        zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if available_timezones():
            yield f"{where}.timezone must be the name of a time zone such as Europe/Berlin."
        else:
            yield (
                f"{where}.timezone is {name}, and this machine has no time zone data: install tzdata (a package of the "
                "system, or of Python), or use UTC."
            )


def _of_template(where: str, template: str | None) -> Iterator[str]:
    if template is None:
        return
    import jinja2  # noqa: PLC0415 - most settings have no template

    try:
        jinja2.Environment(autoescape=True).parse(template)
    except jinja2.TemplateSyntaxError as error:
        yield f"{where} is no Jinja2 template: {(error.message or '').rstrip('.')}, line {error.lineno}."


def _list_of_tables(key: str, found: Given, problems: list[str], receivers: ReceiverTypes) -> object:
    value = found.value
    if found.as_text and isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            value = None
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        form = "a list of objects in JSON" if found.as_text else f"a list of tables, each written [[{key}]]"
        problems.append(f"{key} must be {form} ({found.source}).")
        return WRONG
    return tuple(
        _receiver(f"{key}[{number}]", one, found.source, problems, receivers)
        if key == RECEIVERS
        else _table(f"{key}[{number}]", _TABLES[key], one, found.source, problems)
        for number, one in enumerate(value)
    )


def _receiver(where: str, given: dict[str, Any], source: str, problems: list[str], receivers: ReceiverTypes) -> object:
    rest = dict(given)
    struct = receivers.get(str(rest.pop("type", None)))
    if struct is None:
        problems.append(f"{where}.type must be one of {', '.join(receivers)} ({source}).")
        struct = ReceiverSettings
        rest = {name: value for name, value in rest.items() if name in struct.__struct_fields__}
    return _table(where, struct, rest, source, problems)


def _table(where: str, struct: Any, given: dict[str, Any], source: str, problems: list[str]) -> object:  # noqa: ANN401
    """The table with empty values for invalid and missing ones, so that the others are checked further."""
    rest = dict(given)
    hints = get_type_hints(struct, include_extras=True)
    problems += [f"Unknown setting {where}.{name} ({source})." for name in rest if name not in hints]
    if isinstance(rest.get("match"), dict) and "match" in hints:
        wrong = [name for name in rest["match"] if name not in MATCHED]
        known = ", ".join(MATCHED)
        problems += [f"{where}.match must be a table of {known}; {name} is none of them ({source})." for name in wrong]
        rest["match"] = {name: value for name, value in rest["match"].items() if name not in wrong}
    required = {field.name for field in msgspec.structs.fields(struct) if field.required}
    problems += [f"{where}.{name} is missing ({source})." for name in sorted(required - rest.keys())]
    values = {
        name: _value(f"{where}.{name}", hints[name], Given(value, source), problems)
        for name, value in rest.items()
        if name in hints
    }
    right = {name: value for name, value in values.items() if value is not WRONG}
    table = struct(**(dict.fromkeys(required, "") | right))
    if not isinstance(table, AssertionSettings):
        return table
    table, unread = table.with_files()
    problems += [f"{where}{problem} ({source})." for problem in unread]
    return table


def _value(key: str, hint: Any, found: Given, problems: list[str]) -> object:  # noqa: ANN401 - same
    try:
        return msgspec.convert(found.value, hint, strict=not found.as_text)
    except msgspec.ValidationError:
        expected = next(str(meta.description) for meta in _metas(hint) if meta.description)
        problems.append(f"{key} must be {expected} ({found.source}).")
        return WRONG
