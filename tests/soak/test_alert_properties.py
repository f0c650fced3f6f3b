"""What holds for alerts whatever happens, tried on many more histories than there is time for each day."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.alerting.test_properties import (
    Happening,
    disturbances,
    every_alert_has_a_cause_and_ends_with_it,
    happenings,
    no_restart_and_no_pruning_changes_what_fires,
    undisturbed,
)

pytestmark = pytest.mark.soak


@settings(max_examples=700, suppress_health_check=list(HealthCheck))
@given(happenings)
def test_every_alert_has_a_cause_and_ends_with_it(what: list[Happening]) -> None:
    every_alert_has_a_cause_and_ends_with_it(what)


@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(undisturbed, disturbances)
def test_no_restart_and_no_pruning_changes_what_fires(what: list[Happening], between: list[tuple[int, str]]) -> None:
    no_restart_and_no_pruning_changes_what_fires(what, between)
