"""The values of matchers that some alert can have: a route or a silence of any other would match nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from sidecar.domain.alerts.alert import SEVERITIES
from sidecar.domain.alerts.routing import fits
from sidecar.domain.alerts.rules import KINDS

_VALUES: Final[Mapping[str, Collection[str]]] = {"kind": KINDS, "severity": SEVERITIES, "flapping": ("true",)}


def values_instead(name: str, wanted: str) -> Collection[str] | None:
    """The values of a label, where the wanted one fits none of them; None where it may match."""
    known = _VALUES.get(name)
    return None if known is None or any(fits(one, wanted) for one in known) else known
