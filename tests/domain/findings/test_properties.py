"""What holds for findings of every kind, for arbitrary lives and for healthy ones."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain import findings
from sidecar.domain.events import Event
from sidecar.domain.findings import KINDS, Finding
from sidecar.domain.findings.finding import EVENTS_NAMED
from sidecar.domain.units import SECOND_US
from tests.support.events import BEGIN_US
from tests.support.healthy_lives import HEALTHY
from tests.support.lives import found
from tests.support.unhealthy_lives import LIVES

# A summary has at most a few names, codes and messages, each of which is cut.
LONGEST = 2_500
# An app must not log in or reconnect by itself: advice that speaks of it was read, and says so.
SPEAKS_OF_LOGGING_IN = re.compile(r"log in again|login again|reconnect|\bretry|\bretries")
WAS_READ = {
    "advice.log_in_again",
    "advice.kicks_to_and_fro",
    "finding.kicked.advise_ring",
    "finding.unstable_network.advice",
    "finding.duplicate_login_calls.advice",
}
MOMENTS = st.one_of(st.floats(-10, 30_000), st.sampled_from([0, 5, 1_800, 100_000]))


def all_texts(finding: Finding) -> list[str]:
    return [str(text) for text in (finding.summary, finding.say, *finding.advice)]


@settings(max_examples=60)
@given(events=LIVES, at=MOMENTS)
def test_every_finding_has_its_evidence_among_the_events_and_texts_of_a_sensible_length(
    events: list[Event], at: float
) -> None:
    by_id = {event.id: event for event in events}
    now_us = BEGIN_US + round(at * SECOND_US)
    for finding in found(at, events):
        check = KINDS[finding.kind]
        evidence = [by_id[one] for one in finding.events]
        assert len(evidence) == len(set(finding.events)) <= EVENTS_NAMED
        assert all(event.moment_us <= now_us for event in evidence)
        assert [event.moment_us for event in evidence] == sorted(event.moment_us for event in evidence)
        if check.types is not None:
            assert evidence
            assert {event.type for event in evidence} <= check.types
            assert finding.since_us <= evidence[-1].moment_us
        assert all(advice in [one() for one in check.advice] for advice in finding.advice)
        assert all(0 < len(text) < LONGEST and "%(" not in text and "\n" not in text for text in all_texts(finding))


@settings(max_examples=30)
@given(events=LIVES, at=MOMENTS, seed=st.integers())
def test_findings_are_the_same_in_any_order_and_with_repeats(events: list[Event], at: float, seed: int) -> None:
    expected = found(at, events)
    again = events * 2
    random.Random(seed).shuffle(again)  # noqa: S311 - the same every time
    assert found(at, again) == expected


@settings(max_examples=30)
@given(events=LIVES, at=MOMENTS)
def test_the_past_is_as_it_was(events: list[Event], at: float) -> None:
    now_us = BEGIN_US + round(at * SECOND_US)
    assert found(at, events) == found(at, [event for event in events if event.moment_us <= now_us])


@settings(max_examples=30)
@given(events=LIVES)
def test_a_kind_is_found_once_and_the_most_severe_come_first(events: list[Event]) -> None:
    kinds = [finding.kind for finding in found(5_000, events)]
    assert len(kinds) == len(set(kinds))
    order = [("critical", "warning", "info").index(finding.severity) for finding in found(5_000, events)]
    assert order == sorted(order)


@settings(max_examples=60)
@given(healthy=HEALTHY, share=st.floats(0, 1))
def test_nothing_is_wrong_with_a_healthy_life_at_any_time(healthy: list[Event], share: float) -> None:
    begin_us = min(event.moment_us for event in healthy if event.connection_state == "CONNECTED")
    end_us = max(event.moment_us for event in healthy)
    now_us = begin_us + round((end_us - begin_us) * share)
    assert findings.find(findings.Life.of(now_us, "carol", healthy)) == []
    assert findings.find(findings.Life.of(end_us + 600 * SECOND_US, "carol", healthy)) == []


def test_nobody_and_nothing() -> None:
    assert [finding.kind for finding in found(0, [])] in ([], ["never_logged_in"])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_catalogue_has_texts_without_parameters(kind: str) -> None:
    check = KINDS[kind]
    for text in (check.title, check.evidence, check.threshold, check.lifetime, check.say, *check.advice):
        assert "%(" not in text.template
    for advice in check.advice:
        assert advice.id in WAS_READ or not SPEAKS_OF_LOGGING_IN.search(advice.template.lower())
    assert check.source.startswith("https://")
