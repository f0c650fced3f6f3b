"""``python -m tests.simulation SEED …``: runs seeds, prints what broke, and how fast virtual time went."""

from __future__ import annotations

import argparse
import sys
from random import SystemRandom

import structlog

from tests.simulation.shrink import replay, shrunk
from tests.simulation.simulation import Options, run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--drawn", action="store_true", help="sizes and faults by the seed, as in the tests")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--busy", type=float, default=1.0, help="how much happens to the clients")
    parser.add_argument("--faults", default=",".join(Options(0).faults))
    parser.add_argument("--pause", nargs=2, type=float, default=Options(0).pause_s, help="seconds between two faults")
    parser.add_argument("--new", type=int, default=0, help="also so many new seeds")
    parser.add_argument("--shrink", action="store_true", help="find the smallest run that breaks the same invariant")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    for seed in [*given.seeds, *(SystemRandom().randrange(10_000, 1 << 31) for _ in range(given.new))]:
        faults = tuple(name for name in given.faults.split(",") if name)
        options = Options(seed, given.clients, given.minutes, faults, tuple(given.pause), given.busy)
        options = Options.drawn(seed) if given.drawn else options
        outcome = run(options)
        sys.stdout.write(
            f"seed {seed}: {outcome.events} events, {outcome.kills} kills, {outcome.statements} statements,"
            f" {outcome.virtual_s / outcome.cpu_s:.0f} x real time ({outcome.cpu_s:.1f} s), {outcome.digest}\n"
        )
        if outcome.broken:
            sys.stdout.write(f"  broken at {outcome.at_s:.3f} s: {outcome.broken}\n  {replay(options)}\n")
            if given.shrink:
                smallest, outcome = shrunk(options, outcome)
                sys.stdout.write(
                    f"  the smallest: {replay(smallest)}\n  broken at {outcome.at_s:.3f} s: {outcome.broken}\n"
                )


main()
