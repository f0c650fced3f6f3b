"""Reads the settings, weakest source first: defaults, a TOML file, the environment, the command line.

A wrong or unknown setting is never ignored: :func:`load` names all of them in one error. Only receivers are left out
where the caller knows none of their types.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import msgspec

from sidecar.errors import SettingsError
from sidecar.settings import convert
from sidecar.settings.convert import HINTS, MASK, Given
from sidecar.settings.sections import Settings
from sidecar.settings.sources import DEFAULT, with_sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sidecar.settings.alert_settings import ReceiverTypes

DEFAULT_FILE: Final = "zimwatch.toml"
PREFIX: Final = "ZIMWATCH_"

# A Kubernetes Service called "zimwatch" puts these into every pod's environment; they are no settings.
_KUBERNETES: Final = re.compile(
    r"ZIMWATCH_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)


class Loaded(msgspec.Struct, frozen=True):
    """The settings in force, and the source of each ``section.key``. Those in ``secret`` come from secret files."""

    settings: Settings
    sources: dict[str, str]
    secret: frozenset[str] = frozenset()

    def shown(self) -> Iterator[tuple[str, str, str]]:
        """Key, value as JSON, and source of each setting, with secrets masked."""
        for key, source in self.sources.items():
            value = MASK if key in self.secret else convert.masked(HINTS[key], value_of(self.settings, key))
            yield key, msgspec.json.encode(value).decode(), source


KEYS: Final = tuple(HINTS)
"""Every setting as ``section.key``."""
ALIASES: Final = {"alerts.public_url": "server.public_url"}
"""Former names of settings, which are still read."""


def environment_name(key: str) -> str:
    """``server.port`` → ``ZIMWATCH_SERVER__PORT``."""
    return PREFIX + key.replace(".", "__").upper()


def value_of(settings: Settings, key: str) -> object:
    """The value of ``section.key``."""
    section, name = key.split(".")
    return getattr(getattr(settings, section), name)


def load(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    receivers: ReceiverTypes | None = None,
) -> Loaded:
    """Settings from every source; ``path`` None means ``./zimwatch.toml`` if there is one.

    ``overrides`` is the command line, by ``section.key``; None there means not given. Without ``receivers``, the types
    of receivers that there are, ``alerts.receivers`` is left out. Raises SettingsError that names each wrong or unknown
    key, and gives no value away.
    """
    loaded, problems = read(path, environ, overrides, receivers)
    if problems:
        raise SettingsError(problems)
    return loaded


def read(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    receivers: ReceiverTypes | None = None,
) -> tuple[Loaded, list[str]]:
    """The same, and all that is wrong. A wrong value is its default or ``""`` there: fit for further checks only."""
    problems: list[str] = []
    secret: set[str] = set()
    given: dict[str, Given] = {}
    given |= _by_present_names(_from_file(path, problems), problems)
    given |= _by_present_names(_from_environment(environ, problems, secret), problems)
    given |= {key: Given(value, "command line") for key, value in overrides.items() if value is not None}
    if receivers is None:
        given.pop(convert.RECEIVERS, None)
    values: dict[str, dict[str, Any]] = {section: {} for section in get_type_hints(Settings)}
    for key, found in given.items():
        section, name = key.split(".")
        converted = convert.setting(key, found, problems, receivers or {})
        if converted is not convert.WRONG:
            values[section][name] = converted
    wrong = {key for key in given if key.split(".")[1] not in values[key.split(".")[0]]}
    sources = {key: given[key].source if key in given else DEFAULT for key in KEYS}
    sections = {section: struct(**values[section]) for section, struct in get_type_hints(Settings).items()}
    settings = Settings(**sections)
    crossed = _crossed(settings, wrong, knows_receivers=receivers is not None)
    problems += [with_sources(problem, sources) for problem in crossed]
    return Loaded(settings, sources, frozenset(secret)), problems


def _crossed(settings: Settings, wrong: set[str], *, knows_receivers: bool) -> list[str]:
    """What is wrong with settings that are right each by itself; those that depend on one in ``wrong`` are left out."""
    problems = convert.contradictions(
        settings.alerts, knows_receivers=knows_receivers and convert.RECEIVERS not in wrong
    )
    problems += (
        settings.privacy.problems() + settings.server.problems() + settings.apps.problems() + settings.ingest.problems()
    )
    if not wrong & {"retention.events", "retention.apps"}:
        problems += settings.retention.problems()
    if not any(key.startswith("backups.") or key == "alerts.backup_overdue" for key in wrong):
        problems += settings.backups.problems(settings.alerts.backup_overdue)
    if not any(key.startswith("forward.") or key == "database.url" for key in wrong):
        problems += settings.forward.problems(database_is_on_server=settings.database.is_on_server)
    if not any(key.startswith("canary.") for key in wrong):
        problems += settings.canary.problems()
    if not any(key.startswith(("oidc.", "forward_auth.", "groups.")) for key in wrong):
        problems += settings.sign_in_problems()
    return problems


def _from_file(path: Path | None, problems: list[str]) -> dict[str, Given]:
    is_default = path is None
    path = path or Path(DEFAULT_FILE)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        if is_default and isinstance(error, FileNotFoundError):
            return {}
        problems.append(f"The settings file {path} cannot be read: {error.strerror}.")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"The settings file {path} is not TOML: {error}.")
        return {}
    given: dict[str, Given] = {}
    for section, table in tables.items():
        if section not in get_type_hints(Settings):
            problems.append(f"Unknown section {section} ({path}).")
        elif not isinstance(table, dict):
            problems.append(f"{section} must be a table, written [{section}] ({path}).")
        else:
            given |= {f"{section}.{name}": Given(value, str(path)) for name, value in table.items()}
    for key in [key for key in given if key not in HINTS and key not in ALIASES]:
        problems.append(f"Unknown setting {key} ({path}).")
        del given[key]
    return given


def _by_present_names(given: dict[str, Given], problems: list[str]) -> dict[str, Given]:
    """The settings of one source under their present names; under a former name the value must be the same."""
    renamed = {key: found for key, found in given.items() if key not in ALIASES}
    for former in given.keys() & ALIASES.keys():
        present = ALIASES[former]
        if renamed.setdefault(present, given[former]).value != given[former].value:
            problems.append(
                f"{present} and its former name {former} differ ({given[present].source}, {given[former].source})."
            )
    return renamed


def _from_environment(environ: Mapping[str, str], problems: list[str], secret: set[str]) -> dict[str, Given]:
    names = {environment_name(key): key for key in (*KEYS, *ALIASES)}
    files = {f"{name}_FILE": key for name, key in names.items()}
    given: dict[str, Given] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or _KUBERNETES.fullmatch(name):
            continue
        if name in names:
            given[names[name]] = Given(text.rstrip("\r\n"), name, as_text=True)
        elif name in files and name.removesuffix("_FILE") in environ:
            problems.append(f"{files[name]} is given twice: by {name} and by {name.removesuffix('_FILE')}.")
        elif name in files:
            try:
                content = Path(text).read_text(encoding="utf-8-sig").rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{files[name]} cannot be read from the file in {name}: {error}.")
            else:
                given[files[name]] = Given(content, name, as_text=True)
                secret.add(ALIASES.get(files[name], files[name]))
        else:
            problems.append(f"Unknown setting {name}; the environment has {PREFIX}SECTION__KEY.")
    return given
