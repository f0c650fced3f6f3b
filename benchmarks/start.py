"""What a command costs before it does anything: processor time, beside a Python that only starts."""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import Final

COMMANDS: Final = ("--help", "--version", "check-config", "token04 --help", "db --help", "serve --help")
_ROUNDS: Final = 9


def measure() -> dict[str, dict[str, float]]:
    """The least of some runs, because other work on the machine only adds."""
    bare_ms = _least_ms([sys.executable, "-c", "pass"])
    found = {}
    for words in COMMANDS:
        taken_ms = _least_ms([sys.executable, "-m", "sidecar", *words.split()])
        found[words] = {"CPU ms": taken_ms, "beside bare": taken_ms / bare_ms}
    return found


def _least_ms(command: list[str]) -> float:
    return min(_cpu_ms(command) for _ in range(_ROUNDS))


def _cpu_ms(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1_000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
