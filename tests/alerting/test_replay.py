"""The rules over past events: what would have been sent, beside what was."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click.testing
import msgspec
import pytest

from sidecar.alerting import reaction_of
from sidecar.alerting.replay import replay
from sidecar.cli.commands import zimwatch
from sidecar.clock import now_us
from sidecar.domain.lease import Leases
from sidecar.domain.units import SECOND_US
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.store.values import StoredEvent
from tests.support.timeline import Timeline, us

NEW = """
[alerts]
off = ["token_expired"]
[[alerts.receivers]]
name = "ops"
type = "webhook"
url = "http://127.0.0.1:9/hook"
"""


def test_a_replay_sends_what_was_sent_when_it_happened(tmp_path: Path) -> None:
    story = Timeline(tmp_path).at(0).login("carol").at(10).kicked("carol").at(40).login("carol")
    story.at(50).login("alice").at(60).loses_network("alice").at(500).says("alice", "CONNECTED", "SUCCESS")
    for number in range(30):
        story.at(600).login(f"user-{number}").at(610).kicked(f"user-{number}")
    events = [event for _, own in sorted(story._events.items()) for event in own]
    story.live(until=800)
    stored = [StoredEvent(position, event) for position, event in enumerate(events, start=1)]
    would = replay(iter([stored[:20], stored[20:]]), story.policy, Leases(), us(800))
    was = [(wanted.what, wanted.kind, message.body["alert"]["user_id"]) for _, wanted, message in story.sent]
    assert [(one.what, one.kind) for one in would] == [one[:2] for one in was]
    assert [one[1] for one in was].count("kick_storm") == 2
    for one, (at, _, _) in zip(would, story.sent, strict=True):
        assert abs(one.at_us - us(at)) <= 2 * SECOND_US
    story.close()


@pytest.mark.parametrize("with_new", [True, False])
def test_the_command_prints_what_would_have_been_sent_beside_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, with_new: bool
) -> None:
    url = f"sqlite:///{tmp_path / 'zimwatch.db'}"
    story = Timeline(tmp_path).at(0).kicked("carol").at(1).token_expired("dave")
    began = now_us() - 60 * SECOND_US
    events = [
        msgspec.structs.replace(event, occurred_at_us=began, received_at_us=began, moment_us=began)
        for own in story._events.values()
        for event in own
    ]
    story.close()

    async def fill() -> None:
        store = Store.open(url, clock=now_us, followers=[reaction_of(Settings())])
        await store.append(events)
        await store.close()

    asyncio.run(fill())
    (tmp_path / "new.toml").write_text(NEW)
    arguments = ["alerts", "replay", "--since", "1h", "--database-url", url]
    arguments += ["--config", str(tmp_path / "new.toml")] if with_new else []
    monkeypatch.chdir(tmp_path)
    result = click.testing.CliRunner().invoke(zimwatch, arguments)
    assert result.exit_code == 0, result.output
    assert f"Would have been sent: {1 if with_new else 2}" in result.output
    assert "carol was kicked out" in result.output
    assert ("the token expired" in result.output) is not with_new
    assert "Was sent: 0" in result.output
    assert ("ops          kicked_out       firing    0 → 1" in result.output) is with_new
