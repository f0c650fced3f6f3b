"""Stores in a test's folder, and what their files contain."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from sidecar.domain.events import Event
from sidecar.domain.units import SECOND_US
from sidecar.store import (
    Store,
    mapping,
    schema,
)
from tests.support.databases import reading, url_of
from tests.support.events import BEGIN_US, Phone

LATER_US = BEGIN_US + 20 * SECOND_US


def opened(folder: Path, **options: Any) -> Store:
    return Store.open(url_of(folder), clock=lambda: LATER_US, **options)


GROUP = ", ".join(f"user_groups.{name}" for name in ("app_id", "status", "platform", "reason", "unconfirmed"))


def held_open(folder: Path) -> list[str]:
    """The files in ``folder`` that this process has open."""
    own = Path("/proc/self/fd").iterdir()
    return [target for one in own if (target := os.path.realpath(one)).startswith(f"{folder}/")]


def projected(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every projection without their keys, which differ from run to run."""
    with reading(folder) as connection:
        of_user = "JOIN user_status USING (user_key)"
        group_of = "JOIN user_status USING (group_key)"
        columns = [c.name for c in schema.clients.columns if c.name not in {"client_key", "user_key"}]
        own = {"user_key", "group_key", "lease_check_us", "clients", "crowded", "left_elsewhere_us"}
        status = ", ".join(c.name for c in schema.user_status.columns if c.name not in own)
        queries = {
            "users": f"SELECT {status} FROM user_status ORDER BY app_id, user_id",
            "clients": f"SELECT app_id, user_id, c.{', c.'.join(columns)} FROM clients c {of_user} ORDER BY 3",
            "packed": "SELECT app_id, user_id, clients FROM user_status",
            "blocks": "SELECT app_id, user_id, client_id, last_seq, last_id, touched, positions, state"
            f" FROM client_blocks {of_user} ORDER BY 1, 2, 3, 4, 5",
            "happenings": "SELECT h.app_id, user_id, kind, minute, h.platform, sdk_version, app_version, first_us,"
            f" last_us, times FROM happenings h {of_user} ORDER BY 1, 2, 3, 4, 5, 6, 7",
            "traces": "SELECT trace_id, root_position FROM traces ORDER BY trace_id",
            "groups": f"SELECT {GROUP}, users FROM user_groups WHERE users <> 0 ORDER BY 1, 2, 3, 4, 5",
            "members": f"SELECT user_id, {GROUP} FROM user_groups {group_of} ORDER BY user_status.app_id, user_id",
        }
        found = {name: [tuple(row) for row in connection.exec_driver_sql(sql)] for name, sql in queries.items()}
    # Clients packed in their user's row count as rows too.
    for app_id, user_id, packed in found.pop("packed"):
        for client in mapping.unpack(packed):
            row = dict(zip([c.name for c in schema.clients.columns], mapping.client_row(client), strict=True))
            found["clients"].append((app_id, user_id, *(row[name] for name in columns)))
    found["clients"].sort(key=lambda row: row[:3])
    return found


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir()]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["alice/phone", "bob/phone", "bob/laptop", "bob/tablet", "bob/watch"]),
        st.sampled_from(
            [
                "login",
                "logout",
                ("CONNECTED", "SUCCESS"),
                ("CONNECTING", "ACTIVE_LOGIN"),
                ("RECONNECTING", "LOGIN_INTERRUPTED"),
                ("DISCONNECTED", "KICKED_OUT"),
                ("DISCONNECTED", "TOKEN_EXPIRED"),
                ("99", "77"),
            ]
        ),
    ),
    max_size=30,
)


def events_of(steps: list[tuple[str, Any]]) -> list[Event]:
    devices = (("alice", "phone"), *(("bob", name) for name in ("phone", "laptop", "tablet", "watch")))
    phones = {f"{user}/{device}": Phone(user, device) for user, device in devices}
    events = []
    for at, (name, what) in enumerate(steps):
        phone = phones[name]
        if what == "login":
            events.append(phone.login(at))
        elif what == "logout":
            events.append(phone.event("logout", at))
        else:
            events.append(phone.says(what[0], what[1], at=at))
    return events
