"""Makes a failing run smaller: fewer faults, fewer clients, less time, as long as the same invariant breaks."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tests.simulation.simulation import Options, Outcome, run


def replay(options: Options) -> str:
    """The command that repeats a run."""
    least, most = options.pause_s
    return (
        f"python -m tests.simulation {options.seed} --clients {options.clients} --minutes {options.minutes:g}"
        f" --faults '{','.join(options.faults)}' --pause {least:g} {most:g} --busy {options.busy:g}"
    )


def shrunk(options: Options, outcome: Outcome) -> tuple[Options, Outcome]:
    """The smallest run found that breaks the same invariant, and its outcome."""
    while True:
        for smaller in _smaller(options):
            found = run(smaller)
            if _kind(found) == _kind(outcome):
                options, outcome = smaller, found
                break
        else:
            return options, outcome


def _smaller(options: Options) -> Iterator[Options]:
    for fault in options.faults:
        yield msgspec.structs.replace(options, faults=tuple(one for one in options.faults if one != fault))
    if options.clients > 1:
        yield msgspec.structs.replace(options, clients=options.clients // 2)
        yield msgspec.structs.replace(options, clients=options.clients - 1)
    if options.minutes > 1:
        yield msgspec.structs.replace(options, minutes=options.minutes * 0.6)


def _kind(outcome: Outcome) -> str:
    """The invariant, without the numbers and names of this run."""
    words = (outcome.broken or "").split(":")[0].split()
    return " ".join(word for word in words if word.isalpha())
