"""``docker/prometheus`` and ``docker/grafana``: alerts that are tested, and queries that find their series."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from sidecar.alerting.receivers.webhook import WebhookSettings
from sidecar.settings import AlertSettings, BackupSettings, ForwardSettings
from tests.support.prometheus import FOLDER, prometheus
from tests.support.running import zimwatch
from tests.support.tokens import new_token

DASHBOARD = FOLDER.parent / "grafana/zimwatch.json"
# docs/metrics.md says that they may be absent: with TLS, and with the canary.
OPTIONAL = ("zimwatch_canary_", "zimwatch_tls_")
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "zimwatch.rules.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
QUERIES = [
    target["expr"].replace("$__rate_interval", "10s").replace("$instance", ".*")
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    for target in panel["targets"]
]
# Each node on one PostgreSQL database has the same of them.
OF_THE_DATABASE = (
    *("zimwatch_users", "zimwatch_alerts", "zimwatch_alert_backlog", "zimwatch_alert_undelivered"),
    *("zimwatch_span_backlog", "zimwatch_span_backlog_age_seconds", "zimwatch_database_size_bytes"),
    "zimwatch_followers_behind",
    *("zimwatch_edges", "zimwatch_edge_behind_seconds", "zimwatch_edge_behind_events"),
)
METRIC = re.compile(r"\bzimwatch_\w+")
SELECTOR = re.compile(r"\bzimwatch_\w+(?:\{[^}]*\})?")


@pytest.mark.prometheus
def test_each_alert_fires_in_its_case_and_not_in_the_other() -> None:
    checked = subprocess.run(
        ["promtool", "test", "rules", "zimwatch.test.yml"], cwd=FOLDER, capture_output=True, check=False, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    cases = yaml.safe_load((FOLDER / "zimwatch.test.yml").read_text(encoding="utf-8"))["tests"]
    tried = [(test["alertname"], bool(test["exp_alerts"])) for case in cases for test in case["alert_rule_test"]]
    assert sorted(tried) == sorted((rule["alert"], fires) for rule in RULES for fires in (True, False))


@pytest.mark.prometheus
async def test_every_query_finds_series_of_a_running_server(tmp_path: Path) -> None:
    alerts = AlertSettings(
        receivers=(WebhookSettings(name="ops", url="http://127.0.0.1:9/hook"),), offline_too_long="0s"
    )
    backups = BackupSettings(folder=str(tmp_path / "backups"))
    # An edge, whose centre is away.
    forward = ForwardSettings(url="http://127.0.0.1:9", token="x", name="edge-1")
    async with zimwatch(tmp_path, alerts=alerts, backups=backups, forward=forward) as running:
        _, token = await new_token(running.store, "read")
        async with prometheus(tmp_path / "prometheus", urlsplit(running.url).netloc, token) as scraper:
            while True:  # until a rate has its two samples
                scrapes = await scraper.query("count_over_time(zimwatch_backup_last_seconds[10s])")
                if scrapes and int(scrapes[0]["value"][1]) >= 3:
                    break
                await asyncio.sleep(0.2)
            selectors = {one for rule in RULES for one in SELECTOR.findall(rule["expr"])}
            asked = [*QUERIES, *selectors]
            missing = [
                one for one in asked if not METRIC.findall(one)[0].startswith(OPTIONAL) and not await scraper.query(one)
            ]
            loaded = [rule for group in (await scraper.get("rules"))["groups"] for rule in group["rules"]]
            metadata = await scraper.get("metadata")
    assert missing == []
    assert len(loaded) == len(RULES)
    assert {rule["health"] for rule in loaded} <= {"ok", "unknown"}
    assert metadata["zimwatch_commit_duration_seconds"][0]["type"] == "histogram"


def test_every_metric_of_a_query_is_documented() -> None:
    documented = (FOLDER.parents[1] / "docs/metrics.md").read_text(encoding="utf-8")
    names = set(re.findall(r"^\| `(zimwatch_\w+)", documented, re.MULTILINE))
    used = {name for one in (*QUERIES, *(rule["expr"] for rule in RULES)) for name in METRIC.findall(one)}
    assert {re.sub(r"(?<=_seconds)_(bucket|count|sum)$", "", name) for name in used} <= names
    seen = {re.sub(r"(?<=_seconds)_(bucket|count|sum)$", "", name) for one in QUERIES for name in METRIC.findall(one)}
    assert names - seen == {
        "zimwatch_audit_head",
        "zimwatch_canary_logins_total",
        "zimwatch_canary_reconnects_total",
        "zimwatch_tls_broken",
        "zimwatch_tls_ends_seconds",
    }


def test_no_panel_counts_a_database_once_for_each_of_its_nodes() -> None:
    found = [(name, one) for one in QUERIES for name in METRIC.findall(one) if name in OF_THE_DATABASE]
    assert {name for name, _ in found} == {*OF_THE_DATABASE}
    assert [one for name, one in found if not re.search(rf"\bmax( by \(\w+\) ?)? ?\({name}\{{", one)] == []


def test_metrics_of_a_database_are_documented_as_such() -> None:
    documented = (FOLDER.parents[1] / "docs/metrics.md").read_text(encoding="utf-8")
    _, _, nodes = documented.partition("## Several nodes")
    assert {*METRIC.findall(nodes.partition("\n## ")[0])} == {*OF_THE_DATABASE, "zimwatch_duty_held"}
