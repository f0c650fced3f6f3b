"""The check of licences finds what is not allowed, and what it looks at is all that is installed."""

from __future__ import annotations

import pytest

from tests import licences


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("GPL-3.0-or-later OR MIT", True),
        ("GPL-3.0-or-later", False),
        ("MIT AND GPL-3.0-only", False),
        ("none", False),
    ],
)
def test_one_alternative_is_to_be_allowed_with_every_part(expression: str, *, allowed: bool) -> None:
    assert licences.is_allowed(expression) is allowed


def test_a_package_whose_licence_is_not_allowed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert licences.refused() == []
    monkeypatch.setattr(licences, "ALLOWED", licences.ALLOWED - {"MPL-2.0"})
    assert {line.partition(":")[0] for line in licences.refused()} >= {"certifi", "pathspec"}


def test_packages_of_python_the_extras_and_npm_are_looked_at() -> None:
    names = {name for name, _ in licences.licences()}
    assert names >= {"aiohttp", "pyarrow", "npm ws"}
    assert "pytest" not in names
