"""Folds a user's events into groups, each of which is one line of a list. Pure.

A login and its steps are one group, so are the kicks of two devices that log each other out, equal failures, and the
SDK's attempts to reconnect. Every event is in exactly one group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from sidecar.domain import events, sdk_words
from sidecar.domain.events import Event
from sidecar.domain.kick import Cause
from sidecar.domain.units import MINUTE_US
from sidecar.store.values import StoredEvent

# Between two events of a run, and between two kicks to and fro, lies at most this much.
GAP_US: Final = 30 * MINUTE_US
# One kick each way.
_KICKS: Final = 2
# So often the end of a page is looked for that cuts groups in two; after that it has an event a row.
_CUTS: Final = 4

Kind = Literal["single", "login", "failed_login", "run", "ping_pong"]


class Group(msgspec.Struct, frozen=True):
    """The events of one line, the newest receipt first. ``key`` is what the events of a run have in common."""

    kind: Kind
    stored: tuple[StoredEvent, ...]
    key: Hashable = None

    @property
    def newest(self) -> int:
        """The position of the event received last."""
        return self.stored[0].position

    @property
    def oldest(self) -> int:
        """The position of the event received first."""
        return self.stored[-1].position

    @property
    def in_order(self) -> list[Event]:
        """The events in the order of their moments."""
        found = [one.event for one in self.stored]
        return sorted(found, key=lambda event: (event.moment_us, event.seq, event.id))


class Part(msgspec.Struct, frozen=True):
    """The groups of one page; ``before`` is the position at which the next page continues, None on the last one."""

    groups: list[Group]
    before: int | None


def fold(stored: Sequence[StoredEvent], causes: Mapping[int, Cause]) -> list[Group]:
    """The groups, the one with the newest receipt first. ``causes`` are those of the kicks, by their positions."""
    own: dict[bytes, list[StoredEvent]] = defaultdict(list)
    for one in stored:
        own[one.event.client_id].append(one)
    units = [_units(sorted(client, key=lambda one: one.event.order)) for client in own.values()]
    blocks, taken = _ping_pongs([unit for client in units for unit in client], causes)
    for client in units:
        blocks += _runs([unit for unit in client if unit.newest not in taken])
    return sorted(blocks, key=lambda group: -group.newest)


def part(stored: Sequence[StoredEvent], causes: Mapping[int, Cause], *, rows: int, is_all: bool) -> Part:
    """At most ``rows`` groups of the newest events. ``is_all``: there are no older events than these.

    A page ends where no group is cut in two, if there is such a place in its second half.
    """
    groups = fold(stored, causes)
    if len(groups) <= rows:
        return Part(groups, None if is_all or not stored else min(one.position for one in stored))
    fewest = max(1, rows // 2)
    oldest = min(group.oldest for group in groups[:fewest])
    ends = None
    for count in range(fewest, rows + 1):
        if oldest > groups[count].newest:
            ends = count
        oldest = min(oldest, groups[count].oldest)
    groups = groups[:ends] if ends is not None else _cut(stored, groups, causes, rows)
    return Part(groups, min(group.oldest for group in groups))


def _cut(stored: Sequence[StoredEvent], groups: list[Group], causes: Mapping[int, Cause], rows: int) -> list[Group]:
    """At most ``rows`` groups, folded from the newest events alone.

    What is left of a group that is cut may be of another kind, such as that of a login without its result, or several
    groups: then the page ends earlier.
    """
    kept = sorted(stored, key=lambda one: -one.position)
    for _try in range(_CUTS):
        kept = [one for one in kept if one.position > groups[rows].newest]
        groups = fold(kept, causes)
        if len(groups) <= rows:
            return groups
    return fold(kept[:rows], causes)


def _group(kind: Kind, stored: Iterable[StoredEvent], key: Hashable = None) -> Group:
    return Group(kind, tuple(sorted(stored, key=lambda one: -one.position)), key)


def _units(own: Sequence[StoredEvent]) -> list[Group]:
    """The logins of one client with their steps, and its other events; ``own`` is in the order of its ``seq``."""
    found: list[Group] = []
    place = 0
    while place < len(own):
        one = own[place]
        steps = _steps(own, place) if one.event.type == events.LOGIN else [one]
        found.append(_login(steps) if len(steps) > 1 else _group("single", steps, _key(one.event)))
        place += len(steps)
    return found


# Each step of a login, and those after which it belongs to another one.
_ENDED_BY: Final[dict[str, frozenset[str]]] = {
    "connecting": frozenset({"connecting", "connected", "refused", "result", "failure"}),
    "connected": frozenset({"connected", "refused", "failure"}),
    "refused": frozenset({"connected", "refused", "result"}),
    "result": frozenset({"result", "failure"}),
    "failure": frozenset({"result", "failure"}),
}


def _steps(own: Sequence[StoredEvent], place: int) -> list[StoredEvent]:
    """The login at ``place`` and what directly follows it as a part of it."""
    steps = [own[place]]
    seen: set[str] = set()
    for one in own[place + 1 :]:
        step = _step(one.event)
        if step is None or _ENDED_BY[step] & seen:
            break
        seen.add(step)
        steps.append(one)
    return steps


def _step(event: Event) -> str | None:
    """What the event is as a part of a login."""
    if event.type == events.LOGIN_RESULT:
        return "failure" if event.details.get("code", 0) != 0 else "result"
    if event.type != events.CONNECTION_STATE_CHANGED:
        return None
    if event.connection_state == sdk_words.CONNECTING:
        return "connecting"
    if event.connection_state == sdk_words.CONNECTED:
        return "connected"
    is_refusal = event.connection_event in {sdk_words.LOGIN_INTERRUPTED, sdk_words.LOGIN_TIMEOUT}
    return "refused" if event.connection_state == sdk_words.DISCONNECTED and is_refusal else None


def _login(steps: Sequence[StoredEvent]) -> Group:
    """A login with its steps; one that failed has the code of its result as key, else the connection event."""
    by_step = {_step(one.event): one.event for one in steps[1:]}
    failure, refused = by_step.get("failure"), by_step.get("refused")
    if failure is not None:
        return _group("failed_login", steps, _key(failure))
    if refused is not None:
        return _group("failed_login", steps, (events.LOGIN, refused.connection_event))
    return _group("login", steps)


def _key(event: Event) -> Hashable:
    """What equal events have in common; None for one that is a line of its own."""
    if event.type == events.API_ERROR:
        return (event.type, str(event.details.get("method")), str(event.details.get("code")))
    if event.type == events.LOGIN_RESULT and event.details.get("code", 0) != 0:
        return (events.LOGIN, str(event.details.get("code")))
    return event.connection_state if event.connection_state == sdk_words.RECONNECTING else None


def _runs(units: Sequence[Group]) -> list[Group]:
    """The groups of one client, in which equal ones are one unless anything but a failure lies between."""
    found: list[Group] = []
    begun: dict[Hashable, list[Group]] = {}

    def end(run: Sequence[Group]) -> None:
        stored = [one for unit in run for one in unit.stored]
        found.append(run[0] if len(run) == 1 else _group("run", stored, run[0].key))

    for unit in units:
        if unit.key is None:
            for run in begun.values():
                end(run)
            begun.clear()
            found.append(unit)
            continue
        run = begun.setdefault(unit.key, [])
        if run and unit.in_order[0].moment_us - run[-1].in_order[-1].moment_us > GAP_US:
            end(run)
            run = begun[unit.key] = []
        run.append(unit)
    for run in begun.values():
        end(run)
    return found


def _ping_pongs(units: Sequence[Group], causes: Mapping[int, Cause]) -> tuple[list[Group], set[int]]:
    """The blocks of kicks to and fro, and ``newest`` of the groups that they are made of."""
    unit_of = {one.event.id: unit for unit in units for one in unit.stored}
    kicks = sorted(
        (one for unit in units for one in unit.stored if (cause := causes.get(one.position)) and cause.login),
        key=lambda one: (one.event.moment_us, one.event.id),
    )
    found: list[Group] = []
    taken: set[int] = set()

    def end(chain: Sequence[StoredEvent]) -> None:
        if len(chain) < _KICKS:
            return
        members = {}
        for one in chain:
            login = causes[one.position].login
            for event in (one.event, login):
                unit = unit_of.get(event.id) if event is not None else None
                if unit is not None and unit.newest not in taken:
                    members[unit.newest] = unit
        taken.update(members)
        found.append(_group("ping_pong", (one for unit in members.values() for one in unit.stored)))

    chain: list[StoredEvent] = []
    for kick in kicks:
        if chain and not _follows(chain[-1], kick, causes):
            end(chain)
            chain = []
        chain.append(kick)
    end(chain)
    return found, taken


def _follows(before: StoredEvent, kick: StoredEvent, causes: Mapping[int, Cause]) -> bool:
    """Whether the device that kicked out ``before`` is the one that was kicked out now."""
    login = causes[before.position].login
    is_soon = kick.event.moment_us - before.event.moment_us <= GAP_US
    return login is not None and is_soon and device_of(login) == device_of(kick.event)


def device_of(event: Event) -> str | bytes:
    """The device as far as the event names one, else its client: a page that is loaded again is another client."""
    return event.device_id or event.client_id
