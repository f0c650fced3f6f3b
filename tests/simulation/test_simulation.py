"""Runs by the seed: whatever fails, nothing acknowledged is lost, and everything is right again afterwards.

``SIMULATION_SEEDS=50`` adds so many new seeds to the long runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import SystemRandom

import pytest

from tests.simulation import mends, oracle
from tests.simulation.mends import MENDS, Mend
from tests.simulation.shrink import replay, shrunk
from tests.simulation.simulation import FAULTS, Options, run

NEW_SEEDS = [SystemRandom().randrange(10_000, 1 << 31) for _ in range(int(os.environ.get("SIMULATION_SEEDS", "0")))]
# Two of the four that broke and are mended are outside the range.
LONG_SEEDS = [*range(21, 521), *NEW_SEEDS]


def holds(options: Options) -> None:
    """Runs it; if an invariant breaks, fails with the smallest run that breaks it."""
    outcome = run(options)
    if outcome.broken is not None:
        smallest, found = shrunk(options, outcome)
        pytest.fail(f"{replay(options)}: {outcome.broken}\nthe smallest: {replay(smallest)}: {found.broken}")


@pytest.mark.parametrize("seed", [*range(1, 21), *(pytest.param(seed, marks=pytest.mark.soak) for seed in LONG_SEEDS)])
def test_a_run_holds(seed: int) -> None:
    holds(Options.drawn(seed))


@pytest.mark.soak
def test_a_run_holds_in_which_a_crash_followed_a_heartbeat_after_the_clock_was_set_back() -> None:
    faults = tuple(one for one in FAULTS if one != "rebuild")
    holds(Options(10, clients=100, minutes=13, faults=faults))


@pytest.mark.soak
@pytest.mark.parametrize("mend", MENDS, ids=lambda mend: mend.name)
def test_a_mended_fault_is_found_again_once_its_mend_is_taken_out(mend: Mend) -> None:
    holds(mends.options_of(mend, mend.seed))
    broken = mends.without(mend, mend.seed).broken
    assert broken is not None
    assert mend.breaks in broken


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
    options = Options(4, clients=3, minutes=1.5, faults=("collector",), busy=20)
    outcome = run(options)
    assert "should be online" in (outcome.broken or "")
    smaller, again = shrunk(options, outcome)
    assert smaller.faults == ()
    assert smaller.clients < options.clients
    assert again.broken is not None
    assert replay(smaller).startswith("python -m tests.simulation 4 --clients ")
