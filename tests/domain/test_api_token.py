"""The form of a token's secret."""

from __future__ import annotations

import re
from string import ascii_letters, digits

from hypothesis import given
from hypothesis import strategies as st

from sidecar.access.policy import SCOPES
from sidecar.domain import api_token

RANDOM = st.text(ascii_letters + digits, min_size=43, max_size=43)
SECRETS = st.builds(api_token.secret_of, st.sampled_from([scope.value for scope in SCOPES]), RANDOM)


@given(SECRETS)
def test_every_secret_has_the_documented_form_and_a_hint_that_tells_four_of_its_random_characters(secret: str) -> None:
    assert re.fullmatch(api_token.PATTERN, secret)
    assert not api_token.is_mistyped(secret)
    hint = api_token.hint_of(secret)
    assert secret.startswith(hint)
    assert len(secret) - len(hint) == 39 + 7


@given(SECRETS, st.data())
def test_one_other_character_behind_the_prefix_a_swap_of_two_or_a_missing_one_is_mistyped(
    secret: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(secret.index("_", 3) + 1, len(secret) - 2))
    other = data.draw(st.sampled_from(sorted(set(api_token.ALPHABET + "_- é") - {secret[at]})))
    assert api_token.is_mistyped(secret[:at] + other + secret[at + 1 :])
    swapped = secret[:at] + secret[at + 1] + secret[at] + secret[at + 2 :]
    assert api_token.is_mistyped(swapped) or swapped == secret
    cut = secret[:at] + secret[at + 1 :]
    assert api_token.is_mistyped(cut)


@given(st.text(ascii_letters + digits + "-_", min_size=43, max_size=43) | RANDOM.map(lambda some: f"read_{some}"[:43]))
def test_no_secret_of_a_former_form_counts_as_mistyped(random: str) -> None:
    assert not api_token.is_mistyped(f"zw_{random}")
