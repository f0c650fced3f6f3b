"""``zimwatch alerts``: tests the rules on past events."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from sidecar.alerting import policy_of
from sidecar.alerting.payloads import time_text
from sidecar.alerting.replay import Replayed, replay, replayed
from sidecar.alerting.tables import message_rows
from sidecar.cli.opened import existing, with_store
from sidecar.cli.options import Duration, load, settings_options
from sidecar.clock import now_us
from sidecar.domain.alerts.rules.client_lost import ClientLost
from sidecar.domain.alerts.rules.lost_storm import LostStorm
from sidecar.domain.outside_text import one_line
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.store.log import log_reads
from sidecar.store.values import StoredEvent

_WIDTH: Final = 100
# The receiver of everything that is assumed where the settings have none.
_ANYBODY: Final = "(anybody)"


@click.group()
def alerts() -> None:
    """Test the alert rules."""


@alerts.command("replay")
@click.option("--since", type=Duration(), default="24h", show_default=True, help="How far to look back.")
@settings_options
def replay_(since: int, config: Path | None, database_url: str | None) -> None:
    """Run the rules on past events, send nothing, and print what would have been sent beside what was.

    With --config NEW.toml the rules, routes and receivers are those of that file, so that a change can be tested first.
    The rules start without state: the status of users before the replayed period is unknown to them.
    """
    loaded = existing(load(config, database_url))
    until_us = now_us()
    since_us = until_us - since

    async def work(store: Store) -> tuple[list[Replayed], list[Replayed]]:
        sent = await store.read(message_rows.sent_since, since_us)
        was = [replayed(message, message.sent_at_us or message.created_at_us) for message in sent]
        last: list[Replayed] = await store.read(
            lambda c: _would(log_reads.events_since(c, since_us), settings, until_us)
        )
        return last, was

    settings = loaded.settings
    would, was = with_store(loaded, work)
    _print("Would have been sent", would)
    _print("Was sent", was)
    _print_difference(would, was)


def _would(events: Iterator[list[StoredEvent]], settings: Settings, until_us: int) -> list[Replayed]:
    policy = policy_of(settings)
    # The log has no heartbeats, so lost clients cannot be recognised.
    thresholds = dataclasses.replace(policy.thresholds, off=policy.thresholds.off | {ClientLost.kind, LostStorm.kind})
    policy = msgspec.structs.replace(policy, thresholds=thresholds)
    if not policy.receivers:
        policy.receivers[_ANYBODY] = 1_000_000
    return replay(events, policy, settings.leases.leases(), until_us)


def _print(title: str, messages: list[Replayed]) -> None:
    click.echo(f"{title}: {len(messages)}")
    for one in messages:
        line = f"  {time_text(one.at_us)}  {one.receiver:<12} {one.what:<9} {one_line(one.summary)}"
        click.echo(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…")


def _print_difference(would: list[Replayed], was: list[Replayed]) -> None:
    counts = [Counter((one.receiver, one.kind, one.what) for one in side) for side in (would, was)]
    changed = sorted(key for key in counts[0] | counts[1] if counts[0][key] != counts[1][key])
    click.echo("Difference: none" if not changed else "Difference:")
    for key in changed:
        receiver, kind, what = key
        click.echo(f"  {receiver:<12} {kind:<16} {what:<9} {counts[1][key]} → {counts[0][key]}")
