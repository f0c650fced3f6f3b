"""Runs by the seed: whatever fails, nothing acknowledged is lost, and everything is right again afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation import oracle
from tests.simulation.shrink import shrunk
from tests.simulation.simulation import Options, run

SMALL = {"clients": 12, "minutes": 4.0}


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_short_run_holds(seed: int) -> None:
    outcome = run(Options(seed, **SMALL))  # type: ignore[arg-type]
    assert outcome.broken is None, f"python -m tests.simulation {seed} --clients 12 --minutes 4: {outcome}"
    assert outcome.events > 100


# Long runs in which the clock is set still break: see docs/simulation.md.
WITHOUT_CLOCK = ("network", "receiver", "collector", "disk", "kill", "restart")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 137))
def test_a_long_run_holds(seed: int) -> None:
    outcome = run(Options(seed, clients=40, minutes=10, faults=WITHOUT_CLOCK))
    replay = f"python -m tests.simulation {seed} --clients 40 --minutes 10 --faults {','.join(WITHOUT_CLOCK)}"
    assert outcome.broken is None, f"{replay}: {outcome}"


def test_a_seed_gives_the_same_run_in_every_process() -> None:
    command = [sys.executable, "-m", "tests.simulation", "7", "--clients", "3", "--minutes", "1.5"]
    lines = []
    for hash_seed in ("1", "2"):
        environ = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env=environ, cwd=Path(__file__).parents[2]
        )
        lines.append(done.stdout.split("x real time")[0].rsplit(",", 1)[0] + done.stdout.rsplit(",", 1)[1])
    assert lines[0] == lines[1]
    assert "broken" not in lines[0]


def test_a_run_that_breaks_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(oracle._STATUS, "RECONNECTING", "online")
    options = Options(4, clients=4, minutes=2.0, faults=("collector",))
    outcome = run(options)
    assert "should be online" in (outcome.broken or "")
    smaller, again = shrunk(options, outcome)
    assert smaller.faults == ()
    assert smaller.clients < 4
    assert again.broken is not None
