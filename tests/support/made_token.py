"""Prints a made-up token that ends in ten minutes, as an operator's own command would print a real one."""

from __future__ import annotations

import sys
from random import Random

from sidecar.clock import now_us
from sidecar.sdk.token04 import made_up

sys.stdout.write(made_up(now_us() + 600_000_000, Random(1)) + "\n")  # noqa: S311 - it is made up
