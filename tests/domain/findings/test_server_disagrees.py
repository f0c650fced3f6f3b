"""That devices and ZEGO's server report different things is a finding with the events of both."""

from __future__ import annotations

import pytest

from sidecar.domain.events import SERVER_USER_ACTION, Event
from sidecar.domain.findings import Finding, Life
from sidecar.domain.findings.server_disagrees import ServerDisagrees
from sidecar.domain.lease import LeaseTime
from sidecar.domain.server_view import Disagreement, ServerStatus, ServerView, differ, disagreement
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE, STATUS_OF_STATE, Status
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US, Phone

STATES: dict[Status, str] = {status: state for state, status in STATUS_OF_STATE.items()}
PAIRS: list[tuple[Status, ServerStatus]] = [
    (client, server)
    for client in (ONLINE, OFFLINE, NOT_LOGGED_IN)
    for server in ("online", "offline", "logged_out", "unknown")
    if differ(client, server)
]


def apart(client: Status, server: ServerStatus) -> Disagreement | None:
    time = LeaseTime.without_skips(BEGIN_US + 100 * SECOND_US)
    view = ServerView(status=server, since_us=BEGIN_US)
    return disagreement(client, view, since_us=BEGIN_US, unconfirmed=False, time=time, lease_us=SECOND_US)


def found(differs: Disagreement | None, *events: Event) -> Finding | None:
    return ServerDisagrees.find(Life.of(BEGIN_US + 100 * SECOND_US, "alice", events, disagreement=differs))


def reported() -> Event:
    return Phone("alice", "server").event(SERVER_USER_ACTION, 5, details={"status": "offline", "action": 2})


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_each_pair_has_its_sentence_and_names_both_sides(client: Status, server: ServerStatus) -> None:
    phone = Phone("alice")
    events = [phone.says(STATES[client], "SUCCESS", 1), phone.event("heartbeat", 2), reported()]
    differs = apart(client, server)
    assert differs is not None
    finding = found(differs, *events)
    assert finding is not None
    assert (finding.kind, finding.severity, finding.since_us) == ("server_disagrees", "warning", BEGIN_US)
    assert finding.events == (events[0].id, events[2].id)
    assert differs.reason == f"{finding.summary}."
    assert ("another phone or computer" in str(finding.say)) == (server == "online")


def test_where_the_devices_are_silent_anyway_it_is_only_worth_knowing() -> None:
    ended = Phone("alice").says("DISCONNECTED", "SUCCESS", 1)
    finding = found(apart(ONLINE, "logged_out"), ended, reported())
    assert finding is not None
    assert finding.severity == "info"


def test_of_each_side_the_newest_three_are_named() -> None:
    phone = Phone("alice")
    devices = [phone.says("CONNECTED", "SUCCESS", at) for at in range(5)]
    server = [Phone("alice", f"s{at}").event(SERVER_USER_ACTION, at, details={"status": "offline"}) for at in range(5)]
    finding = found(apart(ONLINE, "offline"), *devices, *server)
    assert finding is not None
    assert set(finding.events) == {event.id for event in devices[-3:] + server[-3:]}
    # Neither side has an event here: then the newest there is.
    other = [phone.event("token_will_expire", 7, details={}), phone.event("token_will_expire", 8, details={})]
    finding = found(apart(ONLINE, "offline"), *other)
    assert finding is not None
    assert finding.events == (other[-1].id,)


def test_without_a_disagreement_or_an_event_there_is_none() -> None:
    assert found(None, reported()) is None
    assert found(apart(ONLINE, "offline")) is None
