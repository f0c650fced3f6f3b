"""What holds for every test: where it belongs, and that nothing is left out unseen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parents[1]
# A deadline for each example would be a promise about this machine's speed, and about who else is using it.
hypothesis.settings.register_profile("zimwatch", deadline=None)
hypothesis.settings.load_profile("zimwatch")
CI = os.environ.get("CI", "").lower() in {"1", "true"}


def _missing() -> dict[str, str]:
    """Marker → what this machine lacks for it."""
    missing = {}
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        missing["browser"] = "Chromium is not installed"
    if not shutil.which("prometheus-alertmanager"):
        missing["alertmanager"] = "prometheus-alertmanager is not installed"
    if not shutil.which("node"):
        missing["node"] = "Node.js is not installed"
    elif not (ROOT / "sidecar/sdk/node/node_modules").is_dir():
        missing["node"] = "the packages of sidecar/sdk/node are not installed (make test does it where there is npm)"
    if not shutil.which("g++"):
        missing["cpp"] = "g++ is not installed"
    if not (shutil.which("javac") and Path("/usr/share/java/json-android.jar").is_file()):
        missing["java"] = "a JDK or Debian's libandroid-json-org-java is not installed"
    if not (shutil.which("mcs") and shutil.which("mono")):
        missing["csharp"] = "Mono with its C# compiler (mono-mcs) is not installed"
    return missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the browser tests by their folder, and skip what this machine has no tools for."""
    missing = _missing()
    for item in items:
        if (ROOT / "tests/browser") in item.path.parents:
            item.add_marker("browser")
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"left out in CI, where nothing may be left out: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test has failed."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """In CI a skipped module has failed."""
    report = yield
    _refuse_skip(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out and why."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.getreports("skipped"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    if reasons:
        told = "; ".join(f"{count} because {reason.removeprefix('Skipped: ')}" for reason, count in reasons.items())
        terminalreporter.write_line(f"Tests left out: {told}")
