"""Applies events to a working set: the login states of clients, the status of their users, and traces."""

from __future__ import annotations

from collections import Counter
from typing import Final

from sidecar.domain import login_state
from sidecar.domain.events import CONNECTION_STATE_CHANGED, SERVER_USER_ACTION, Event
from sidecar.domain.lease import LeaseTime
from sidecar.domain.login_state import LoginState, Transition
from sidecar.domain.moment import clock_off_us
from sidecar.domain.status import NOT_LOGGED_IN, OFFLINE, ONLINE, Status
from sidecar.store import schema
from sidecar.store.mapping import Client
from sidecar.store.users import client_history, client_rows
from sidecar.store.users.working_set import TouchedClient, User, WorkingSet, owner_of, trace_of
from sidecar.store.values import Effect

# A client's key is this and the position of its first event, so that no restart or rebuild gives it to another. Older
# keys, which were counted, are below.
CLIENT_KEYS_FROM: Final = 1 << 40


def apply(working: WorkingSet, event: Event, position: int) -> Effect:
    """Applies an event that is new to the log and whose owner is loaded; what it changed."""
    owner = owner_of(event)
    user = working.loaded[owner]
    if user.user_key != schema.NOBODY:
        working.touched[owner] = user  # type: ignore[index]  # only users have keys
    if event.type == SERVER_USER_ACTION:
        return _apply_server_action(user, event, position)
    return _apply_client_event(working, user, event, position)


def is_late(working: WorkingSet, event: Event) -> bool:
    """Whether newer events of its client were applied before."""
    client = working.loaded[owner_of(event)].clients.get(event.client_id)
    return client is not None and event.order <= client.state.order


def renew_lease(working: WorkingSet, heartbeat: Event, *, since: LeaseTime | None = None, given_s: int = 0) -> bool:
    """Applies a heartbeat; whether its client is known. One of an unknown client, or after a logout, changes nothing.

    ``since``: the heartbeat waited in memory, so that later signs of life may be stored already, which stay. Its client
    was answered with the interval ``given_s``: another process may have stored a shorter one before.
    """
    owner = owner_of(heartbeat)
    user = working.loaded[owner]
    client = user.clients.get(heartbeat.client_id)
    if client is None or client.state.logged_out:
        return False
    seen_us = heartbeat.received_at_us
    if since is not None and since.sign_us(client.last_seen_at_us) >= since.sign_us(seen_us):
        return True
    if id(client) not in working.clients:
        working.touch(client)
    if since is None:
        client.heartbeat_after_s = working.heartbeat_after_s
    else:
        client.heartbeat_after_s = max(client.heartbeat_after_s, given_s)
    client.sends_heartbeats = True
    client.last_seen_at_us = seen_us
    if user.user_key != schema.NOBODY:
        if since is None or since.sign_us(user.last_seen_at_us) < since.sign_us(seen_us):
            user.last_seen_at_us = seen_us
        working.touched[owner] = user  # type: ignore[index]  # as in apply
    return True


def begin_trace(working: WorkingSet, trace_id: bytes, position: int) -> bool:
    """Makes the event at ``position`` the root of its trace, unless that has one; whether it did."""
    if trace_id not in working.rootless_traces:
        return False
    working.rootless_traces.discard(trace_id)
    working.new_traces[trace_id] = position
    return True


def _apply_server_action(user: User, event: Event, position: int) -> Effect:
    """Puts ZEGO's report on the user's timeline. It is of no client: status and lease stay as they are."""
    previous = user.last_position
    user.last_position = user.changed_position = position
    user.place_changed = True
    user.last_seen_at_us = user.last_seen_at_us or event.received_at_us
    return Effect(previous, None, False, None, None, user.status, user.status)


def _apply_client_event(working: WorkingSet, user: User, event: Event, position: int) -> Effect:
    client = user.clients.get(event.client_id)
    if client is None:
        client = _new_client(user, event.client_id, position)
    state = client.state
    previous_client, previous_user = client.last_position, user.last_position
    touched = working.clients.get(id(client)) or working.touch(client)
    status, since_us, reason, token_us = state.status, state.since_us, state.reason, state.token_expires_at_us
    transition = _apply_to_client(working, touched, event, position)
    state = client.state
    starts_trace = False
    if event.type == CONNECTION_STATE_CHANGED:
        user.rooted_trace = trace_id = trace_of(event)
        starts_trace = begin_trace(working, trace_id, position)
    else:
        transition = login_state.UNKNOWN
    before, lasted_us = transition
    if user.user_key == schema.NOBODY:
        return Effect(None, previous_client, starts_trace, before, lasted_us, None, None)
    if since_us is not None and (state.since_us is None or state.since_us < since_us):
        _load_last_ended(working, user)
    previous_status = user.status
    if state.status != status:
        user.status = _status_after(working, user, status, state.status)
    user.last_position = position
    user.last_seen_at_us = event.received_at_us
    if (
        state.since_us != since_us
        or state.status != status
        or state.reason != reason
        or state.token_expires_at_us != token_us
        or not user.changed_position
    ):
        user.changed_position, user.place_changed = position, True
    return Effect(previous_user, previous_client, starts_trace, before, lasted_us, previous_status, user.status)


def _apply_to_client(working: WorkingSet, touched: TouchedClient, event: Event, position: int) -> Transition:
    client = touched.client
    state = client.state
    if event.seq < state.last_seq or (event.seq == state.last_seq and event.id <= state.last_id):
        transition = _insert_late(working, touched, event, position)
    else:
        transition = login_state.transition(state, event)
        login_state.apply(state, event)
        _describe(client, event)
        if touched.history is not None or client.client_key in working.recent_blocks:
            working.history(touched, event.app_id).append(event, position)
    touched.applied.append((position, event))
    client.last_position = position
    client.tail_events += 1
    if client.tail_events >= client_history.BLOCK_EVENTS:
        working.history(touched, event.app_id).close(position)
    # Not the greater of the two: after the machine's clock was set back, what is received now is still the newest.
    client.last_seen_at_us = event.received_at_us
    if client.sends_heartbeats and working.heartbeat_after_s:
        client.heartbeat_after_s = working.heartbeat_after_s
    return transition


def _new_client(user: User, client_id: bytes, position: int) -> Client:
    client = Client(
        client_key=CLIENT_KEYS_FROM + position,
        client_id=client_id,
        user_key=user.user_key,
        state=LoginState(),
        last_seen_at_us=0,
    )
    user.clients[client_id] = client
    return client


def _describe(client: Client, event: Event) -> None:
    """Copies what the client's newest event reports of it."""
    if event.platform is not None:
        client.platform = event.platform
    if event.sdk_name is not None:
        client.sdk_name = event.sdk_name
    if event.sdk_version is not None:
        client.sdk_version = event.sdk_version
    if event.app_version is not None:
        client.app_version = event.app_version
    if event.device_id is not None:
        client.device_id = event.device_id
    if event.reporter_name is not None:
        client.reporter_name, client.reporter_version = event.reporter_name, event.reporter_version
    client.clock_off_us = clock_off_us(event)


def _insert_late(working: WorkingSet, touched: TouchedClient, late: Event, position: int) -> Transition:
    """Inserts an event before newer ones of its client; its transition there."""
    history = working.history(touched, late.app_id)
    before = history.work
    transition = history.insert(late, position)
    working.late_work += history.work - before
    return transition or login_state.UNKNOWN


def _status_after(working: WorkingSet, user: User, before: Status, after: Status) -> Status:
    """The user's status once one of its loaded clients has changed its own."""
    if len(user.clients) == 1:
        return after
    statuses = working.statuses.get(user.user_key)
    if statuses is None:
        statuses = working.statuses[user.user_key] = Counter(one.state.status for one in user.clients.values())
    else:
        statuses[before] -= 1
        statuses[after] += 1
    return ONLINE if statuses[ONLINE] else OFFLINE if statuses[OFFLINE] else NOT_LOGGED_IN


def _load_last_ended(working: WorkingSet, user: User) -> None:
    """Loads the client that ended last of those not loaded: a moment went back, so it may decide now."""
    if user.crowded:
        return  # it is loaded already
    loaded = {one.client_key for one in user.clients.values()}
    for client in client_rows.last_ended(working.connection, user.user_key, loaded):
        working.repack(user, client)
