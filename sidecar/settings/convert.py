"""From a value as it was given to the setting it means, or to the sentence that names what is wrong with it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_origin, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jinja2
import msgspec
from msgspec import Meta

from sidecar.settings.alerts import RECEIVERS, ReceiverSettings, RouteSettings
from sidecar.settings.sections import Settings

MASK: Final = "********"
WRONG: Final = object()
"""In the place of a value that cannot be had: a problem says why."""

_URL_PASSWORD: Final = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*@")
# Settings that are lists of tables: [[alerts.receivers]].
_TABLES: Final = {"alerts.receivers": None, "alerts.routes": RouteSettings}


class Given(msgspec.Struct, frozen=True):
    """A value before it is checked. ``as_text``: it was text to begin with (environment), so "8790" is a number."""

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
"""The kind of every setting, by ``section.key``."""


def _metas(hint: Any) -> Iterator[Meta]:  # noqa: ANN401 - a type hint may be anything
    """The Metas of an annotated type, also inside of ``… | None``."""
    yield from (meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta))
    for inner in getattr(hint, "__args__", ()):
        yield from _metas(inner)


def masked(hint: Any, value: object) -> object:  # noqa: ANN401 - same
    """The value of a setting of this kind as it may be shown."""
    secret = next((found for meta in _metas(hint) if (found := (meta.extra or {}).get("secret"))), None)
    if value is None or secret is None:
        return _tables(value)
    if secret == "path":  # noqa: S105 - what of it is secret
        url = urlsplit(str(value))
        return f"{url.scheme}://{url.netloc.rpartition('@')[2]}/{MASK}" if url.netloc else value
    return MASK


def _tables(value: object) -> object:
    """The same for the tables of a list; what is not set in them is left out."""
    if isinstance(value, tuple):
        return [_tables(one) for one in value]
    if not isinstance(value, msgspec.Struct):
        return value
    told: dict[str, object] = {}
    if isinstance(value, ReceiverSettings):
        told["type"] = next(name for name, struct in RECEIVERS.items() if type(value) is struct)
    for name, hint in get_type_hints(type(value), include_extras=True).items():
        if (own := getattr(value, name)) is not None:
            told[name] = masked(hint, own)
    return told


def without_password(text: str) -> str:
    """The text with the password of a URL in it masked."""
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", text)


def setting(key: str, found: Given, problems: list[str]) -> object:
    """The value of ``section.key``; WRONG, and a problem for each thing that is wrong with it."""
    if key in _TABLES:
        return _list_of_tables(key, found, problems)
    value = found.value
    if found.as_text and isinstance(value, str) and get_origin(getattr(HINTS[key], "__origin__", None)) is tuple:
        value = [part.strip() for part in value.split(",") if part.strip()]
    return _value(key, HINTS[key], msgspec.structs.replace(found, value=value), problems)


def contradictions(alerts: Mapping[str, Any]) -> list[str]:
    """What is wrong with settings that are right each by itself."""
    problems = []
    receivers: tuple[Any, ...] = alerts.get("receivers", ())
    names = [one.name for one in receivers]
    for number, one in enumerate(receivers):
        where = f"alerts.receivers[{number}]"
        if one.name in names[:number]:
            problems.append(f"{where}.name is {one.name}, which is the name of another receiver.")
        problems += _of_receiver(where, one)
    for number, route in enumerate(alerts.get("routes", ())):
        where = f"alerts.routes[{number}]"
        problems += [
            f"{where}.receivers names {name}, which is no receiver." for name in route.receivers if name not in names
        ]
        try:
            ZoneInfo(route.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            problems.append(f"{where}.timezone must be the name of a time zone such as Europe/Berlin.")
    return problems


def _of_receiver(where: str, one: Any) -> Iterator[str]:  # noqa: ANN401 - any kind of receiver
    if one.template is not None:
        try:
            jinja2.Environment(autoescape=True).parse(one.template)
        except jinja2.TemplateSyntaxError as error:
            yield f"{where}.template is no Jinja2 template: {error.message}, line {error.lineno}."
    secret = getattr(one, "secret", None)
    if secret is not None and secret.startswith("whsec_"):
        try:
            base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            yield f"{where}.secret must be whsec_ and base64, or any text without whsec_."
    if getattr(one, "username", None) is not None:
        if one.password is None:
            yield f"{where}.password is missing: there is a username."
        if one.tls == "none":
            yield f"{where}.tls must not be none where there is a username."


def _list_of_tables(key: str, found: Given, problems: list[str]) -> object:
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
    made = [_table(f"{key}[{number}]", _TABLES[key], one, found.source, problems) for number, one in enumerate(value)]
    return WRONG if WRONG in made else tuple(made)


def _table(where: str, struct: Any, given: dict[str, Any], source: str, problems: list[str]) -> object:  # noqa: ANN401
    rest = dict(given)
    if struct is None:
        struct = RECEIVERS.get(str(rest.pop("type", None)))
        if struct is None:
            problems.append(f"{where}.type must be one of {', '.join(RECEIVERS)} ({source}).")
            return WRONG
    hints = get_type_hints(struct, include_extras=True)
    before = len(problems)
    problems += [f"{where}.{name} is not a setting ({source})." for name in rest if name not in hints]
    missing = {field.name for field in msgspec.structs.fields(struct) if field.required} - rest.keys()
    problems += [f"{where}.{name} is missing ({source})." for name in sorted(missing)]
    values = {
        name: _value(f"{where}.{name}", hints[name], Given(value, source), problems)
        for name, value in rest.items()
        if name in hints
    }
    return WRONG if len(problems) > before else struct(**values)


def _value(key: str, hint: Any, found: Given, problems: list[str]) -> object:  # noqa: ANN401 - same
    try:
        return msgspec.convert(found.value, hint, strict=not found.as_text)
    except msgspec.ValidationError:
        expected = next(str(meta.description) for meta in _metas(hint) if meta.description)
        problems.append(f"{key} must be {expected} ({found.source}).")
        return WRONG
