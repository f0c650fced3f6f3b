"""``python -m tests.simulation.mends``: takes mended faults out of the code again, and finds each by a seed.

A mend is taken out by a small change of the source of one function, in memory. ``SEEDS`` says with how many seeds each
was looked for; ``--search`` looks for them again.
"""

from __future__ import annotations
import __future__

import argparse
import contextlib
import functools
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import structlog

from tests.simulation.simulation import Options, Outcome, run


class Mend(msgspec.Struct, frozen=True):
    """``of`` is the function, as ``module:name``; in it ``mended`` takes the place of ``faulty``.

    ``seed`` finds the fault without the mend, and is the first of those from 1 on that does; ``breaks`` is a part of
    the sentence that it breaks with.
    """

    name: str
    of: str
    mended: str
    faulty: str
    breaks: str
    faults: tuple[str, ...]
    seed: int = 1
    clients: int = 24
    minutes: float = 5.0
    pause_s: tuple[float, float] = (5.0, 60.0)
    busy: float = 5.0


_STORE: Final = "sidecar.store"
_ALERTING: Final = "sidecar.alerting"
_LEASE_TIME: Final = "sidecar.domain.lease:LeaseTime"
MENDS: Final = (
    Mend(
        "a user's lease is that of the device seen last in lease time",
        f"{_STORE}.users.write_users:_derived",
        "if client.last_seen_at_us != user.last_seen_at_us:",
        "if False:",
        "silent",
        ("network", "clock"),
        seed=1,
    ),
    Mend(
        "the clock of senders never moves a moment into the future",
        "sidecar.domain.moment:moment_us",
        "min(at_us, received_at_us)",
        "at_us",
        "future",
        (),
        seed=1,
    ),
    Mend(
        "what is written before a set clock was noticed is moved once",
        f"{_STORE}.care.clock_watch:ClockWatch.settled_us",
        "return self._steady() + self._ahead_us",
        "return self._clock()",
        "",
        ("receiver", "clock"),
        seed=3,
    ),
    Mend(
        "a message that was on the way while the clock was set is not given up",
        f"{_ALERTING}.notify.dispatcher:Dispatcher._is_given_up",
        # A run is shorter than what a message is tried for after a start.
        "message_rows.created_us(connection, message.id)\n    tried_us = self._lease_us() - self._begun_us",
        "message.created_at_us\n    tried_us = TRIED_LEAST_US",
        "not sent",
        ("receiver", "clock"),
        seed=3,
    ),
    Mend(
        "a rebuild keeps the last signs of life as they came",
        f"{_STORE}.users.projections:Projections.restore_heartbeats",
        "client.last_seen_at_us = seen_us",
        "client.last_seen_at_us = max(client.last_seen_at_us, seen_us)",
        "a rebuild differs",
        ("clock",),
        seed=1,
    ),
    Mend(
        "a rebuild knows when a user was seen last, whichever device that was",
        f"{_STORE}.users.projections:Projections.restore_heartbeats",
        "user.last_seen_at_us = last_seen_us.get(user_id, user.last_seen_at_us)",
        "pass",
        "a rebuild differs",
        ("limits",),
    ),
    Mend(
        "leases stand still while events are refused",
        f"{_STORE}.care.clock_watch:ClockWatch._notice",
        "if not writer.has_taken_all():",
        "if False:",
        "in which events were accepted",
        ("disk",),
    ),
    Mend(
        "notifications that wait move with a clock that is set",
        f"{_ALERTING}.tables.notifications:clock_set",
        "due_at_us = due_at_us + ?",
        "due_at_us = due_at_us + 0 * ?",
        "waiting",
        ("receiver", "clock"),
        seed=6,
    ),
    Mend(
        "deadlines follow a clock that is set back while Zimwatch is down",
        f"{_STORE}.care.clock_watch:_begin",
        "now_us if alive_us is None or now_us >= alive_us - SET_BY_US else alive_us",
        "now_us",
        "waiting",
        ("receiver", "restart", "clock"),
        seed=2,
    ),
    Mend(
        "leases stand still while the disk is full and nothing is sent",
        f"{_STORE}.writer:Writer._failed",
        "self._refuse()\n",
        "if any(isinstance(one.work, Batch) for one in works): self._refuse()\n",
        "in which events were accepted",
        ("disk", "app"),
        seed=2,
        clients=2,
        busy=1.0,
    ),
    Mend(
        "a sign of life counts as of no later than when its stretch of lease time ended",
        f"{_LEASE_TIME}.skipped_at_sign_us",
        "one.skipped_us + at_us - ends_us",
        "one.skipped_us",
        "is silent for",
        ("network", "clock", "app"),
        seed=2,
    ),
    Mend(
        "a sign of life in a pause of lease time is not of before the clock was set",
        f"{_LEASE_TIME}._with_latest",
        "SET_BY_US + self.paused_us",
        "SET_BY_US",
        "counts as silent",
        ("disk", "clock"),
        seed=3,
    ),
    Mend(
        "a heartbeat after a pause of lease time is later than one in it",
        f"{_STORE}.users.apply_events:renew_lease",
        "since.sign_us(",
        "since.lease_us(",
        "in which events were accepted",
        ("disk",),
        seed=5,
    ),
)


@contextlib.contextmanager
def taken_out(mend: Mend) -> Iterator[None]:
    """For as long as the context is open the fault is in the code again."""
    module, _, path = mend.of.partition(":")
    *owners, name = path.split(".")
    owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
    function: Any = inspect.unwrap(getattr(owner, name))
    source = textwrap.dedent(inspect.getsource(function))
    if mend.mended not in source:
        raise ValueError(f"{mend.of} has no {mend.mended!r}")
    code = compile(
        source.replace(mend.mended, mend.faulty),
        mend.of,
        "exec",
        flags=__future__.annotations.compiler_flag,
        dont_inherit=True,
    )
    found: dict[str, Any] = {}
    exec(code, function.__globals__, found)  # noqa: S102 - the project's own code
    before, function.__code__ = function.__code__, found[name].__code__
    try:
        yield
    finally:
        function.__code__ = before


def options_of(mend: Mend, seed: int) -> Options:
    """A run in which a mend is looked for."""
    return Options(seed, mend.clients, mend.minutes, mend.faults, mend.pause_s, mend.busy)


def without(mend: Mend, seed: int) -> Outcome:
    """The outcome of a run without the mend."""
    with taken_out(mend):
        return run(options_of(mend, seed))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="parts of the names of mends; all without")
    parser.add_argument("--search", type=int, default=0, help="look through so many seeds, from 1 on")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    for mend in MENDS:
        if given.names and not any(name in mend.name for name in given.names):
            continue
        for seed in range(1, given.search + 1) if given.search else (mend.seed,):
            outcome = without(mend, seed)
            if outcome.broken is not None:
                sys.stdout.write(f"{seed:4} {mend.name}: {outcome.broken.splitlines()[0][:150]} at {outcome.at_s} s\n")
                break
        else:
            sys.stdout.write(f"   - {mend.name}: not found\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
