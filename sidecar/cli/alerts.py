"""``zimwatch alerts``: tries the rules out on what has happened already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from sidecar.alerting import policy_of
from sidecar.alerting.replay import Told, replay, told
from sidecar.alerting.views import time_text
from sidecar.cli.options import Duration, existing, load, settings_options, with_store
from sidecar.clock import now_us
from sidecar.domain.alerting.kinds import CLIENT_LOST
from sidecar.settings import Settings
from sidecar.store import Store, history
from sidecar.store.records import StoredEvent

_WIDTH: Final = 100
# Nobody is named in the settings: then what is shown is what one receiver of everything would get.
_ANYBODY: Final = "(anybody)"


@click.group()
def alerts() -> None:
    """Try the rules of alerts out."""


@alerts.command("replay")
@click.option("--since", type=Duration(), default="24h", show_default=True, help="How far to look back.")
@settings_options
def replay_(since: int, config: Path | None, database_url: str | None) -> None:
    """Run the rules over past events, send nothing, and print what would have been sent beside what was.

    With --config NEW.toml the rules, routes and receivers are those of that file, so that a change can be tried first.
    The rules begin with no memory: what users were doing before is not known to them.
    """
    loaded = existing(load(config, database_url))
    until_us = now_us()
    since_us = until_us - since

    async def work(store: Store) -> tuple[list[Told], list[Told]]:
        sent = await store.read(history.messages_since, since_us)
        was = [told(message, message.sent_at_us or message.created_at_us) for message in sent]
        last: list[Told] = await store.read(lambda c: _would(history.events_since(c, since_us), settings, until_us))
        return last, was

    settings = loaded.settings
    would, was = with_store(loaded, work)
    _print("Would have been sent", would)
    _print("Was sent", was)
    _print_difference(would, was)


def _would(events: Iterator[list[StoredEvent]], settings: Settings, until_us: int) -> list[Told]:
    policy = policy_of(settings)
    # The log holds no heartbeats, so that it cannot tell who was lost.
    thresholds = msgspec.structs.replace(policy.thresholds, off=policy.thresholds.off | {CLIENT_LOST})
    policy = msgspec.structs.replace(policy, thresholds=thresholds)
    if not policy.receivers:
        policy.receivers[_ANYBODY] = 1_000_000
    return replay(events, policy, settings.leases.leases(), until_us)


def _print(title: str, messages: list[Told]) -> None:
    click.echo(f"{title}: {len(messages)}")
    for one in messages:
        line = f"  {time_text(one.at_us)}  {one.receiver:<12} {one.what:<9} {one.summary}"
        click.echo(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…")


def _print_difference(would: list[Told], was: list[Told]) -> None:
    counts = [Counter((one.receiver, one.kind, one.what) for one in side) for side in (would, was)]
    changed = sorted(key for key in counts[0] | counts[1] if counts[0][key] != counts[1][key])
    click.echo("Difference: none" if not changed else "Difference:")
    for key in changed:
        receiver, kind, what = key
        click.echo(f"  {receiver:<12} {kind:<16} {what:<9} {counts[1][key]} → {counts[0][key]}")
