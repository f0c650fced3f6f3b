"""What holds for every test: where it belongs, and that nothing is left out unseen."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog

from tests.support import postgres
from tests.support.clocks import Machine

if TYPE_CHECKING:
    from tests.support.running import Zimwatch

ROOT = Path(__file__).parents[1]
# A deadline for each example would be a promise about this machine's speed, and about who else is using it.
hypothesis.settings.register_profile("zimwatch", deadline=None)
hypothesis.settings.load_profile("zimwatch")
CI = os.environ.get("CI", "").lower() in {"1", "true"}
# Marker → the programs that it needs.
_PROGRAMS = {
    "alertmanager": ["prometheus-alertmanager"],
    "apache2": ["apache2"],
    "caddy": ["caddy"],
    "cmake": ["cmake"],
    "cpp": ["g++"],
    "csharp": ["mcs", "mono"],
    "faketime": ["faketime"],
    "haproxy": ["haproxy"],
    "image": ["buildah", "mmdebstrap", "bwrap"],
    "nginx": ["nginx"],
    "pgbouncer": ["pgbouncer"],
    "prometheus": ["prometheus"],
    "systemd": ["systemd-analyze", "systemd-sysusers"],
}


@pytest.fixture
def machine() -> Machine:
    """The clocks of a machine, for a test to set."""
    return Machine()


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """The database engine of a test that is marked with ``both_engines``, which runs once on each."""
    of_sqlite = request.node.get_closest_marker("of_sqlite") is not None
    if not hasattr(request, "param") and not of_sqlite:
        yield "sqlite"
        return
    from tests.support import databases  # noqa: PLC0415 - all of Zimwatch, which most tests do without

    name: databases.Engine = "sqlite" if of_sqlite else request.param
    with databases.engine(name):
        yield name
        # One that was opened before, such as a fixture of the module, would be SQLite's.
        assert name == "sqlite" or databases.are_there(), "the test had no database of PostgreSQL"


@pytest.fixture
def on_postgresql() -> Iterator[None]:
    """Databases are PostgreSQL's, in a file of tests that are about it alone."""
    from tests.support import databases  # noqa: PLC0415 - all of Zimwatch, which most tests do without

    with databases.engine("postgresql"):
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that is marked with ``both_engines`` on both; on PostgreSQL with the long tests, if it says so."""
    marker = metafunc.definition.get_closest_marker("both_engines")
    if marker is None or metafunc.definition.get_closest_marker("of_sqlite"):
        return
    marks = [pytest.mark.postgres, *([pytest.mark.soak] if "soak" in marker.args else [])]
    metafunc.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=marks)], indirect=True)


@pytest.fixture
def options() -> dict[str, Any]:
    """Arguments of :func:`tests.support.running.zimwatch` for the fixture ``running``; a module has its own."""
    return {}


@pytest.fixture
async def running(tmp_path: Path, options: dict[str, Any]) -> AsyncIterator[Zimwatch]:
    """A Zimwatch of the test's own."""
    from tests.support.running import zimwatch  # noqa: PLC0415 - all of Zimwatch, which most tests do without

    async with zimwatch(tmp_path, **options) as running:
        yield running


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What the test configures of logging, as a command does, ends with it."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    yield
    root.handlers[:], root.level = before
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def _missing() -> dict[str, str]:
    """Marker → what this machine lacks for it."""
    missing = {
        marker: f"{' or '.join(programs)} is not installed"
        for marker, programs in _PROGRAMS.items()
        if not all(map(shutil.which, programs))
    }
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        missing["browser"] = "Chromium is not installed"
    if not shutil.which("node"):
        missing["node"] = "Node.js is not installed"
    elif not (ROOT / "sidecar/sdk/node/node_modules").is_dir():
        missing["node"] = "the packages of sidecar/sdk/node are not installed (make test does it where there is npm)"
    if not (shutil.which("node") and (ROOT / "sidecar/sdk/node/node_modules/oidc-provider").is_dir()):
        missing["oidc"] = "Node.js or npm's oidc-provider is not installed (make test does it where there is npm)"
    if not (shutil.which("javac") and Path("/usr/share/java/json-android.jar").is_file()):
        missing["java"] = "a JDK or Debian's libandroid-json-org-java is not installed"
    if not postgres.is_there():
        missing["postgres"] = "PostgreSQL is not installed"
    if not _has_ipv6():
        missing["ipv6"] = "there is no IPv6 loopback address"
    if not _may_mount():
        missing["image"] = missing["mount"] = "only root with CAP_SYS_ADMIN may mount file systems"
    return missing


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _may_mount() -> bool:
    """Whether this process has CAP_SYS_ADMIN, the capability number 21: man 7 capabilities."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return any(int(line.split()[1], 16) >> 21 & 1 for line in lines if line.startswith("CapEff:"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the browser tests by their folder, and skip what this machine has no tools for."""
    missing = _missing()
    for item in items:
        if (ROOT / "tests/browser") in item.path.parents:
            item.add_marker("browser")
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Keep what was imported out of each later collection of garbage: every server collects at its start."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _modules_before_are_not_looked_through() -> Iterator[None]:
    """What a module leaves, such as what its tests imported, stays out of later collections as well."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _postgres_is_stopped() -> Iterator[None]:
    yield
    if "tests.support.databases" in sys.modules:
        from tests.support import databases  # noqa: PLC0415

        databases.stop()


@pytest.fixture(scope="session", autouse=True)
def _tables_are_made_once() -> Iterator[None]:
    """As long as no test imports the store there is nothing to do, and nothing to import."""
    if "sidecar.store.sqlite.connections" not in sys.modules:
        yield
        return
    from tests.support import made_tables  # noqa: PLC0415

    with made_tables.copied():
        yield


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
