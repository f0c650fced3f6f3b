"""``make sbom``, as it is called."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.markers import Marker

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
def test_the_packages_of_the_lock_are_in_the_bill_of_materials_and_no_other() -> None:
    subprocess.run(["make", "--no-print-directory", "sbom"], cwd=ROOT, check=True)
    text = (ROOT / "dist/zimwatch.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == "zimwatch"
    listed = {f"{one['name'].lower().replace('_', '-')}=={one['version']}" for one in bill["components"]}
    lock = (ROOT / "requirements/run.txt").read_text(encoding="utf-8")
    locked = re.findall(r"^([a-z0-9-]+==[^ ;]+)(?: ; (.+) \\)?", lock, re.MULTILINE)
    here = {pinned for pinned, condition in locked if not condition or Marker(condition).evaluate()}
    # What venv itself puts there has no hash of ours.
    assert {one for one in listed if not one.startswith(("pip==", "setuptools=="))} == here
