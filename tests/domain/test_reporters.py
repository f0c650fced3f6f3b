"""Which taps and ports are old."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.domain.reporters import OURS, is_outdated
from sidecar.sdk.recording.recorder import REPORTER

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "version", "outdated"),
    [
        ("zim-tap", "0.3.0", True),
        ("zimwatch-unity", "0.4.99", True),
        ("zim-tap", "0.5.0", False),
        ("zim-tap", "0.10.0", False),
        ("zim-tap", "1.0.0", False),
        ("zim-tap", None, False),
        ("zim-tap", "", False),
        ("zim-tap", "0.3", False),
        ("zim-tap", "0.3.0-beta", False),
        ("zim-tap", "0.3.0\n", False),
        ("zim-tap", "\u0660.\u0663.\u0660", False),
        ("their-own", "0.3.0", False),
        (None, "0.3.0", False),
    ],
)
def test_ours_are_old_below_the_servers_version(name: str | None, version: str | None, *, outdated: bool) -> None:
    assert is_outdated(name, version, "0.5.0") is outdated


def test_a_version_of_development_counts_as_the_release_it_leads_to() -> None:
    assert is_outdated("zim-tap", "0.4.9", "0.5.0.dev3+g12")
    assert not is_outdated("zim-tap", "0.5.0", "0.5.0.dev3+g12")


def test_each_sender_of_ours_is_known() -> None:
    files = [ROOT / "sidecar/sdk/tap/zim-tap.js"]
    files += [path for path in (ROOT / "docs/ports").rglob("*") if "eporter." in path.name and path.suffix != ".md"]
    said = re.compile(r"\bname\b.{1,8}?(zim-tap|zimwatch-[a-z-]+).{1,16}version")
    named = {name for path in files for name in said.findall(path.read_text(encoding="utf-8"))}
    assert named | {REPORTER["name"]} == OURS
