"""The commands of a chat: a line in, the answer out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

import msgspec
import sqlalchemy as sa

from sidecar.alerting import silence_form, watch_form
from sidecar.alerting.alert_reaction import AlertReaction
from sidecar.alerting.notify.message_templates import Literal
from sidecar.alerting.payloads import moment, user_url
from sidecar.alerting.silence_form import NotPossibleError, SilenceRequest, silence_of
from sidecar.alerting.tables import silence_rows, user_watch_rows
from sidecar.alerting.user_life import user_findings
from sidecar.alerting.watch_form import WatchRequest, watch_of
from sidecar.clock import Clock
from sidecar.domain.alerts.naming import device_of
from sidecar.domain.app_ids import AppIds
from sidecar.domain.findings import Finding
from sidecar.domain.kick import cause_of
from sidecar.domain.lease import Now
from sidecar.domain.outside_text import one_line
from sidecar.domain.sdk_words import KICKED_OUT
from sidecar.domain.texts import duration
from sidecar.domain.units import DAY_US
from sidecar.store import Store
from sidecar.store.access.audit_values import AuditAction, SearchText, Subject
from sidecar.store.users import happenings, user_list, user_reads
from sidecar.store.users.happenings import Happened
from sidecar.store.users.user_query import UserQuery
from sidecar.store.values import StoredEvent, UserRow

P = ParamSpec("P")
T = TypeVar("T")

HELP: Final = (
    "status USER · who kicked USER · ack ALERT · silence USER DURATION because REASON · watch USER DURATION"
    " · unwatch USER · top kicked\n"
    "For example: status alice · ack 42 · silence alice 1h because she tests her new phone"
)
# A user id has up to 10 KiB, a reason up to 1,000 characters.
LINE_CHARACTERS: Final = 12_288
_ALERT_DIGITS: Final = 18
_UNITS: Final = ("ms", "s", "m", "h", "d")
_EVENTS_READ: Final = 200
_TOP: Final = 10
_SEE: Final = "see_users"
_STATUS: Final = {"online": "online", "offline": "offline", "not_logged_in": "not logged in"}


class Recorded(Protocol):
    """Makes a work that is in the audit log as well, in the same transaction."""

    def __call__(
        self,
        work: Callable[Concatenate[sa.Connection, P], T],
        /,
        *,
        about: Subject | Callable[[Any], Subject] | None = None,
        action: AuditAction | None = None,
    ) -> Callable[Concatenate[sa.Connection, P], T]:
        """``about`` is the subject, or how it follows from the result of the work."""


def _unrecorded(
    work: Callable[Concatenate[sa.Connection, P], T],
    /,
    *,
    about: object = None,  # noqa: ARG001 - as Recorded has it
    action: AuditAction | None = None,  # noqa: ARG001 - same
) -> Callable[Concatenate[sa.Connection, P], T]:
    return work


class Author(msgspec.Struct, frozen=True):
    """The person who sent a command, the actions that they may take, and the apps that they may see.

    ``recorded`` puts what they change into the audit log. ``literal`` writes text from outside so that the chat shows
    it as it is, ``link`` an address of ours.
    """

    name: str
    may: AbstractSet[str]
    apps: AppIds = None
    recorded: Recorded = _unrecorded
    literal: Literal = one_line
    link: Literal = one_line


class ChatCommands:
    """Answers one line at a time."""

    def __init__(self, store: Store, reaction: AlertReaction, clock: Clock) -> None:
        self._store = store
        self._reaction = reaction
        self._clock = clock

    async def answer(self, line: str, author: Author) -> str:
        """The answer to one line; errors are answers too.

        A line is parsed word by word. A command that its author may not give is refused by its first words alone.
        """
        if len(line) > LINE_CHARACTERS:
            return f"That is longer than {LINE_CHARACTERS} characters. {HELP}"
        line = line.strip()
        for name, needed, arguments_of, command in COMMANDS:
            rest = _after(line, name)
            if rest is None:
                continue
            if needed not in author.may:
                return f"You may not {needed} here." if needed != _SEE else "You may not see users here."
            arguments = arguments_of(rest)
            if arguments is None:
                break
            try:
                return await command(self, author, *arguments)
            except NotPossibleError as error:
                return f"That is not possible: {author.literal(str(error))}."
        return HELP if line in {"", "help"} else f"I do not understand that. {HELP}"

    async def _status(self, author: Author, user: str) -> str:
        found = await self._named(user, author)
        if not found:
            return f"{author.literal(user)}: not logged in, never seen."
        now_us, apps = self._clock(), self._reaction.policy.apps
        lines = []
        for row in found:
            since = "" if row.since_us is None else f" for {duration(now_us - row.since_us)}"
            why = f" ({author.literal(row.reason)})" if row.reason else ""
            doubt = ", unconfirmed" if row.unconfirmed else ""
            url = user_url(self._reaction.policy.base, row.app_id, row.user_id)
            links = "".join(f" {author.link(one)}" for one in (url, apps.user_url(row.app_id, row.user_id)) if one)
            who = self._who(row, author, among=len(found))
            lines.append(f"{who} is {_STATUS[row.status]}{since}{why}{doubt}.{links}")
            finding = await self._store.read(_first_finding, row, self._store.now(), now_us)
            if finding is not None:
                lines.append(f"{author.literal(str(finding.summary))}.")
                lines.append(f"Tell the user: {author.literal(str(finding.say))}")
        return "\n".join(lines)

    def _who(self, row: UserRow, author: Author, *, among: int) -> str:
        """The user, with the app where that has a name or several apps have such a user."""
        apps = self._reaction.policy.apps
        if among == 1 and apps.name(row.app_id) is None:
            return author.literal(row.user_id)
        return f"{author.literal(row.user_id)} of {author.literal(apps.in_full(row.app_id))}"

    async def _who_kicked(self, author: Author, user: str) -> str:
        lines = []
        for row in await self._named(user, author):
            events = await self._store.read(
                user_reads.timeline, row.app_id, row.user_id, before=None, limit=_EVENTS_READ
            )
            kick = next((one for one in events if one.event.connection_event == KICKED_OUT), None)
            if kick is not None:
                lines.append(author.literal(self._kick(kick, events)))
        return "\n".join(lines) or f"No kick of {author.literal(user)} is known."

    def _kick(self, kick: StoredEvent, events: list[StoredEvent]) -> str:
        event = kick.event
        cause = cause_of(event, [one.event for one in events])
        own = device_of(event).text
        by = "which other device logged in is not known"
        if cause.login is not None:
            by = f"{device_of(cause.login).text} logged in"
        elif cause.may_be_itself:
            by += "; it may be its own old connection (weak network; fixed in SDK 2.12.0)"
        at = moment(event.moment_us).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{event.user_id} was kicked out on {own}, {at}: {by}."

    async def _acknowledge(self, author: Author, alert: str) -> str:
        now_us = self._clock()
        wanted = int(alert)
        acknowledge = author.recorded(
            self._reaction.acknowledge, about=f"alert {wanted}", action=AuditAction.ALERT_ACKNOWLEDGED
        )
        found = await self._store.write(acknowledge, wanted, author.name, now_us, author.apps)
        if found is None:
            return f"There is no alert {wanted}."
        if found.acknowledged_by is None:
            return f"Alert {wanted} is over already: {found.end_reason}."
        by, what = author.literal(found.acknowledged_by), author.literal(str(found.summary))
        return f"Alert {wanted} is acknowledged by {by}: {what}"

    async def _silence(self, author: Author, user: str, duration: str, reason: str) -> str:
        now_us = self._clock()
        request = SilenceRequest(matchers={"user_id": user}, reason=reason, duration=duration)
        wanted = silence_of(request, author.name, now_us, author.apps)
        hidden = await self._store.read(silence_rows.alerts_hidden_by, wanted)
        silence = author.recorded(self._reaction.silence, about=silence_form.named, action=AuditAction.SILENCE_MADE)
        made = await silence_form.create(self._store, silence, wanted)
        until = moment(made.ends_at_us).strftime("%Y-%m-%d %H:%M UTC")
        about = author.literal(user)
        return f"Silence {made.id}: alerts about {about} call nobody until {until} ({len(hidden)} of them fire now)."

    async def _watch(self, author: Author, user: str, duration: str) -> str:
        now_us = self._clock()
        receivers = tuple(self._reaction.policy.receivers)
        add = author.recorded(user_watch_rows.add, about=watch_form.named, action=AuditAction.WATCH_MADE)
        made = []
        for row in await self._named(user, author):
            request = WatchRequest(app_id=row.app_id, user_id=row.user_id, duration=duration)
            wanted = watch_of(request, author.name, now_us, receivers, author.apps)
            made.append(await watch_form.create(self._store, add, wanted))
        about = author.literal(user)
        if not made:
            return f"{about} was never seen, so there is nobody to watch."
        until = moment(made[0].until_us).strftime("%Y-%m-%d %H:%M UTC")
        nobody = "" if receivers else " No receiver is configured, so nobody is notified."
        return f"{about} is watched until {until}: what happens to them is notified at once.{nobody}"

    async def _unwatch(self, author: Author, user: str) -> str:
        now_us = self._clock()
        end = author.recorded(user_watch_rows.end, about=watch_form.named, action=AuditAction.WATCH_ENDED)
        ended = 0
        for row in await self._named(user, author):
            for watch in await self._store.read(user_watch_rows.of_user, row.app_id, row.user_id, now_us):
                ended += await self._store.write(end, watch.id, now_us, author.apps) is not None
        about = author.literal(user)
        return f"{about} is not watched any more." if ended else f"{about} is not watched."

    async def _top_kicked(self, author: Author) -> str:
        since_us = self._clock() - DAY_US
        kicked = Happened(kind="kicked_out", begin_us=since_us)
        found = await self._store.read(happenings.most_often, kicked, author.apps, _TOP)
        if not found:
            return "Nobody was kicked out in the last 24 hours."
        return "Kicked out most in the last 24 hours:\n" + "\n".join(
            f"{author.literal(user_id)}: {times}" for (_, user_id), times in found
        )

    async def _named(self, user: str, author: Author) -> list[UserRow]:
        """The users with exactly this id, of every app that the author may see."""
        found = await self._store.read(
            user_list.list_users, UserQuery(q=user, match="exact", apps=author.apps), self._store.now()
        )
        return found.users[:5]


def command_in(line: str) -> tuple[str, Subject | None]:
    """The name of the command in a line, and what it is about, for the audit log; no name where there is none."""
    for name, _needed, arguments_of, _command in COMMANDS:
        rest = _after(line.strip(), name)
        if rest is not None:
            first = next(iter(arguments_of(rest) or ()), None)
            if first is None:
                return name, None
            return name, f"alert {first}" if arguments_of is _alert else SearchText(first)
    return "", None


def _first_finding(connection: sa.Connection, row: UserRow, now: Now, now_us: int) -> Finding | None:
    detail = user_reads.user(connection, row.app_id, row.user_id, now)
    found = [] if detail is None else user_findings(connection, detail, now_us)
    return found[0] if found else None


def _after(line: str, name: str) -> str | None:
    """The rest of ``line`` after the words of ``name``; None where it does not begin with them."""
    for word in name.split():
        first, line = (*line.split(None, 1), "", "")[:2]
        if first.lower() != word:
            return None
    return line


def _user(rest: str) -> tuple[str] | None:
    return (rest,) if rest else None


def _user_of_question(rest: str) -> tuple[str] | None:
    return _user(rest.removesuffix("?").rstrip() or rest)


def _alert(rest: str) -> tuple[str] | None:
    number = rest.removeprefix("#")
    return (number,) if number.isascii() and number.isdigit() and len(number) <= _ALERT_DIGITS else None


def _nothing(rest: str) -> tuple[()] | None:
    return None if rest else ()


def _silence(rest: str) -> tuple[str, str, str] | None:
    """The user, whose id may have several words; the first duration after it, and the reason after that."""
    end = 0
    for word in rest.split():
        begin = rest.index(word, end)
        end = begin + len(word)
        if begin and _is_duration(word):
            reason = rest[end:].lstrip()
            given = _after(reason, "because") or reason
            return (rest[:begin].rstrip(), word.lower(), given) if given else None
    return None


def _user_and_duration(rest: str) -> tuple[str, str] | None:
    """The user, whose id may have several words, and the duration after it."""
    user, _, duration = rest.rpartition(" ")
    return (user.rstrip(), duration.lower()) if user.strip() and _is_duration(duration) else None


def _is_duration(word: str) -> bool:
    unit = word.lower().lstrip("0123456789")
    return unit in _UNITS and len(unit) < len(word)


_Arguments = Callable[[str], tuple[str, ...] | None]
_Command = Callable[..., Awaitable[str]]
# The words of each command, the action that it needs, the parser of its arguments, and its handler.
COMMANDS: Final[tuple[tuple[str, str, _Arguments, _Command], ...]] = (
    ("status", _SEE, _user, ChatCommands._status),  # noqa: SLF001 - its own table
    ("who kicked", _SEE, _user_of_question, ChatCommands._who_kicked),  # noqa: SLF001
    ("ack", "acknowledge", _alert, ChatCommands._acknowledge),  # noqa: SLF001
    ("silence", "silence", _silence, ChatCommands._silence),  # noqa: SLF001
    ("watch", "watch", _user_and_duration, ChatCommands._watch),  # noqa: SLF001
    ("unwatch", "watch", _user, ChatCommands._unwatch),  # noqa: SLF001
    ("top kicked", _SEE, _nothing, ChatCommands._top_kicked),  # noqa: SLF001
)
