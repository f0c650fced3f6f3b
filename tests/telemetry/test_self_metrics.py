"""Zimwatch's own metrics, held to ``docs/metrics.md`` both ways, and what the histograms count."""

from __future__ import annotations

import json
import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import aiohttp
import msgspec
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.process import serving
from tests.support.running import zimwatch
from tests.support.wire import wire_event

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(zimwatch_\w+)(?:\{([\w,]+)\})?` \| (\w+) \| (.*) \|$", re.MULTILINE)


class Documented(msgspec.Struct, frozen=True):
    name: str
    labels: frozenset[str]
    kind: str
    meaning: str


def documented(text: str) -> list[Documented]:
    rows = ROW.findall(text)
    return [Documented(name, frozenset(filter(None, labels.split(","))), *rest) for name, labels, *rest in rows]


def scraped(text: str) -> dict[str, Metric]:
    """Zimwatch's own, by their documented names."""
    families = text_string_to_metric_families(text)
    own = [one for one in families if one.name.startswith("zimwatch_")]
    return {f"{one.name}_total" if one.type == "counter" else one.name: one for one in own}


def own_labels(metric: Metric) -> set[frozenset[str]]:
    return {
        frozenset(name for name in one.labels if not name.startswith("otel_scope_") and name != "le")
        for one in metric.samples
    }


async def test_a_fresh_server_has_every_documented_metric_and_no_other(tmp_path: Path) -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    main, canary, backups = re.split(r"^With the \[canary\].*|^With \[scheduled.*", text, flags=re.MULTILINE)
    settings = {
        "ZIMWATCH_ALERTS__RECEIVERS": json.dumps(
            [{"name": "ops", "type": "webhook", "url": "http://127.0.0.1:9/hook"}]
        ),
        "ZIMWATCH_BACKUPS__FOLDER": str(tmp_path / "backups"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
    }
    async with (
        serving(tmp_path, settings) as (url, _),
        aiohttp.ClientSession(url) as http,
        http.get("/metrics") as answer,
    ):
        given = scraped(await answer.text())
    for one in documented(main + backups):
        if one.name not in given and "absent w" in one.meaning:
            continue
        assert one.name in given, one.name
        metric = given[one.name]
        assert (metric.type, own_labels(metric)) == (one.kind, {one.labels}), one.name
        values = {value for sample in metric.samples for value in sample.labels.values()}
        if one.labels:
            assert {value for value in re.findall(r"`([a-z_]+)`", one.meaning) if "." not in value} <= values, one.name
    assert set(given) <= {one.name for one in documented(main + canary + backups)}
    assert [one.labels["version"] for one in given["zimwatch_build_info"].samples] == [version("zimwatch")]


def test_every_metric_of_the_code_is_documented() -> None:
    """Also those that are absent until something happens."""
    text = (ROOT / "docs/metrics.md").read_text()
    names = {one.name for one in documented(text)}
    made = re.compile(r'(?:create_\w+|StoreGauge|Histogram)\(\s*"(zimwatch[._][a-z._]+)"')
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "sidecar").rglob("*.py")]
    metrics = {name.replace(".", "_") for text in sources for name in made.findall(text)}
    assert len(metrics) > 30
    units = ("", "_total", "_seconds", "_bytes")
    assert {one for one in metrics if not names & {f"{one}{unit}" for unit in units}} == set()


async def test_requests_and_commits_are_counted_with_their_duration(tmp_path: Path) -> None:
    async with zimwatch(tmp_path) as running:

        async def counts() -> Counter[str]:
            async with running.http.get("/metrics") as answer:
                given = scraped(await answer.text())
            durations = [given[f"zimwatch_{name}_duration_seconds"] for name in ("request", "commit")]
            return Counter(
                {
                    one.labels.get("kind", "commit"): int(one.value)
                    for metric in durations
                    for one in metric.samples
                    if one.name.endswith("_count")
                }
            )

        before = await counts()
        await running.send([wire_event()])
        await running.get("/v1/users")
        for path in ("/users", "/users?status=online", "/livez", "/static/none"):
            async with running.http.get(path):
                pass
        more = await counts() - before
    assert more.pop("commit") >= 1
    assert more == {"ingest": 1, "page": 2, "api": 1}
