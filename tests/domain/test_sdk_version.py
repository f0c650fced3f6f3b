"""Versions of the SDK as apps report them."""

from __future__ import annotations

import pytest

from sidecar.domain.sdk_version import is_before, parsed


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("2.12.0", (2, 12, 0)),
        ("v2.9", (2, 9, 0)),
        (" 2.29.0.4711", (2, 29, 0)),
        ("3.0.0-beta.1", (3, 0, 0)),
        ("2", None),
        ("", None),
        (None, None),
        ("latest", None),
        ("2.1234567", None),
    ],
)
def test_a_version_is_read(version: str | None, numbers: tuple[int, int, int] | None) -> None:
    assert parsed(version) == numbers


def test_versions_compare_by_their_numbers() -> None:
    assert is_before("2.9.9", (2, 12, 0)) is True
    assert is_before("2.12.0", (2, 12, 0)) is False
    assert is_before("odd", (2, 12, 0)) is None
