"""Holds the documents to the code."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from jsonschema import Draft202012Validator
from standardwebhooks import WebhookVerificationError

import sidecar.alerting.tables.alert_schema
import sidecar.store.access.audit_schema  # noqa: F401 - same
from sidecar.alerting.receivers import RECEIVER_SETTINGS
from sidecar.alerting.receivers.webhook import signer
from sidecar.cli import overview
from sidecar.cli.commands import command, zimwatch
from sidecar.clock import now_us
from sidecar.demo import devices
from sidecar.domain.alerts.rules import KINDS
from sidecar.domain.login_state import LoginState
from sidecar.ingest.wire import decode
from sidecar.settings import KEYS, Settings, environment_name, load, value_of
from sidecar.store.mapping import Client, index_of
from sidecar.store.schema import metadata
from sidecar.telemetry.otlp import attributes
from sidecar.version import VERSION
from tests import update_reference, update_version

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docker/*.md")])
OPENAPI = ROOT / "schemas/openapi.json"
TABLE_ROW = re.compile(r"^\| (`.+?) \| (.*?) \|", re.MULTILINE)


def command_named(words: list[str]) -> click.Command:
    found: click.Command = zimwatch
    for word in words:
        assert isinstance(found, click.Group), f"{found.name} takes no command {word}"
        inner = found.get_command(click.Context(found), word)
        assert inner is not None, f"there is no command: zimwatch {' '.join(words)}"
        found = inner
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_document_exists(document: Path) -> None:
    for found in re.findall(
        rf"\bzimwatch ((?:{'|'.join(sorted(overview.COMMANDS, reverse=True))})\b(?: [a-z-]+)?)",
        document.read_text(),
    ):
        words = found.split()
        command_named(words if isinstance(command(words[0]), click.Group) else words[:1])


def test_every_command_is_documented() -> None:
    told = (ROOT / "docs/commands.md").read_text()
    for name in overview.COMMANDS:
        found = command(name)
        nested = found.commands if isinstance(found, click.Group) else [""]
        for inner in nested:
            assert f"zimwatch {name} {inner}".rstrip() in told


def test_every_setting_is_documented_with_its_default_and_no_other() -> None:
    lines = (ROOT / "docs/settings.md").read_text().split("## OpenTelemetry")[0].splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    assert [row[0] for row in rows] == list(KEYS)
    for key, _unit, default, environment, _meaning in rows:
        assert environment == environment_name(key)
        value = value_of(Settings(), key)
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        assert value in ((), {}, "", None) or default == text, f"{key} is {value!r} by default"


def test_the_settings_example_is_toml_of_known_keys() -> None:
    example = re.search(r"```toml\n(.*?)```", (ROOT / "docs/settings.md").read_text(), re.DOTALL)
    assert example is not None
    given = {f"{section}.{key}" for section, table in tomllib.loads(example[1]).items() for key in table}
    assert given <= set(KEYS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_that_a_document_names_exists(document: Path) -> None:
    sections = "|".join(Settings.__struct_fields__)
    named = re.findall(rf"`((?:{sections})\.[a-z_]+)(?: = [^`]*)?`", document.read_text())
    gone = {"alerts.public_url"}  # docs/settings.md says what it is called now
    assert {one for one in named if not one.endswith(".py")} - gone <= set(KEYS)


def test_every_table_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/database.md").read_text()
    listed = [
        name
        for part in re.findall(r"^\| table \| .*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
        for cell, _ in TABLE_ROW.findall(part)
        for name in re.findall(r"`(\w+)`", cell)
    ]
    described = re.findall(r"^### `(\w+)`", text, re.MULTILINE)
    assert sorted({*listed, *described} - {"user_search"}) == sorted(metadata.tables)  # SQLite's index alone


def test_every_span_and_attribute_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/spans.md").read_text()
    constants = [value for name, value in vars(attributes).items() if name.isupper()]
    names = {one for one in constants if isinstance(one, str)} | {*attributes.EPISODES.values()}
    listed = set(re.findall(r"`((?:zim|user|session)\.[a-z_.]+)`", text))
    assert listed == names


def test_the_order_of_a_client_in_its_users_row_is_documented() -> None:
    told = (ROOT / "docs/database.md").read_text()
    for kind in (Client, LoginState):
        assert ", ".join(f"`{name}`" for name in kind.__struct_fields__) in " ".join(told.split())
    assert f"value ->> {index_of('sdk_version')} AS sdk_version" in told


@pytest.mark.parametrize("table", ["events", "user_status"])
def test_documented_columns_exist(table: str) -> None:
    part = (ROOT / "docs/database.md").read_text().split(f"### `{table}`")[1].split("\n#")[0]
    columns = {name for cell, _ in TABLE_ROW.findall(part) for name in re.findall(r"`(\w+)`", cell)}
    assert columns
    assert columns <= set(metadata.tables[table].columns.keys())


def test_the_documented_queries_run() -> None:
    queries = re.search(r"```sql\n(.*?)```", (ROOT / "docs/database.md").read_text(), re.DOTALL)
    assert queries is not None
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.connect() as connection:
        for query in queries[1].strip().split(";\n"):
            connection.exec_driver_sql(query)
    engine.dispose()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("name", ["run", "dev", "sbom"])
def test_a_lock_has_hashes_and_no_address(name: str) -> None:
    lines = (ROOT / f"requirements/{name}.txt").read_text().splitlines()
    assert any("--hash=sha256:" in line for line in lines)
    assert not [line for line in lines if "://" in line or line.startswith(("-i ", "--index", "--extra-index"))]


def test_the_npm_lock_has_no_address() -> None:
    lock = json.loads((ROOT / "sidecar/sdk/node/package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]


def test_the_run_lock_is_part_of_the_dev_lock() -> None:
    run, dev = (
        set(re.findall(r"^([a-z0-9-]+==\S+)", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE))
        for name in ("run", "dev")
    )
    assert run <= dev


def test_pyproject_and_run_in_name_the_same_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {*project["project"]["dependencies"], *project["build-system"]["requires"], "editables"}
    lines = (ROOT / "requirements/run.in").read_text().splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == wanted


def test_every_kind_of_alert_and_of_receiver_is_documented_and_no_other() -> None:
    told = (ROOT / "docs/alerts.md").read_text()
    for title, names in (("kind", KINDS), ("type", RECEIVER_SETTINGS)):
        (part,) = re.findall(rf"^\| {title} \| .*\n\|[-|]+\n((?:\|.*\n)+)", told, re.MULTILINE)
        listed = [name for row in part.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
        assert sorted(listed) == sorted(names)
    webhook = json.loads((ROOT / "schemas/webhook.v1.json").read_text())
    assert set(webhook["$defs"]["alert"]["properties"]["kind"]["enum"]) == set(KINDS)
    example = re.search(r"```json\n(.*?)```", told, re.DOTALL)
    assert example is not None
    Draft202012Validator(webhook).validate(json.loads(example[1]))


@pytest.mark.parametrize("name", update_reference.WRITTEN)
def test_findings_calls_events_and_error_codes_are_documented_as_the_code_has_them(name: str) -> None:
    text = update_reference.document(name).read_text(encoding="utf-8")
    assert text == update_reference.updated(name, text), "run make schemas"


def test_every_status_of_an_error_is_documented_and_no_other() -> None:
    calls = json.loads(OPENAPI.read_text())["paths"].values()
    given = {status for call in calls for each in call.values() if "responses" in each for status in each["responses"]}
    listed = re.findall(r"^\| (\d[\d, ]+) \|", (ROOT / "docs/http.md").read_text(), re.MULTILINE)
    assert sorted(", ".join(listed).split(", ")) == sorted(status for status in given if status >= "400")


def test_every_call_that_a_document_names_exists() -> None:
    known = [re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in json.loads(OPENAPI.read_text())["paths"]]
    not_ours = {"/v1/logs", "/v1/traces", "/v1/accounts"}  # OpenTelemetry's, and what decision 89 says is not there
    named = {
        (document.name, path)
        for document in DOCUMENTS
        for path in re.findall(r"`(?:(?:GET|POST|PUT|DELETE)[/A-Z]* )?(/v1/[^`?\s…]*)`", document.read_text())
    }
    assert named
    assert [one for one in named if one[1] not in not_ours and not any(re.fullmatch(k, one[1]) for k in known)] == []


def test_every_option_that_a_document_names_exists() -> None:
    """Of the commands of shells' blocks, whose lines may be continued."""
    for document in DOCUMENTS:
        blocks = "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", document.read_text(), re.MULTILINE | re.DOTALL))
        for line in re.sub(r"\\\n", " ", blocks).splitlines():
            found = re.search(r"\bzimwatch ((?:[a-z][a-z0-9-]* ?)+)([^#|;&)]*)", line)
            if found is None or found[1].split()[0] not in overview.COMMANDS:
                continue
            words = found[1].split()
            known = command_named(words[: 2 if isinstance(command(words[0]), click.Group) else 1])
            options = {name for each in known.params for name in each.opts}
            assert set(re.findall(r"(?<!\S)--[a-z-]+", found[2])) <= options | {"--help"}, (document.name, line)


def test_the_example_of_receivers_and_routes_is_taken(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", (ROOT / "docs/alerts.md").read_text(), re.DOTALL)
    assert example is not None
    (tmp_path / "alerts.toml").write_text(example[1], encoding="utf-8")
    assert len(load(tmp_path / "alerts.toml", {}, {}, RECEIVER_SETTINGS).settings.alerts.routes) == 2


def test_the_documented_check_of_a_signature_takes_ours_and_no_other() -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/alerts.md").read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)  # noqa: S102 - the document's own example
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    def taken(body: bytes, at_s: int) -> object:
        signature = signer(secret).sign("msg_1", datetime.fromtimestamp(at_s, UTC), "{}")
        headers = {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(at_s), "Webhook-Signature": signature}
        return names["message_of"](headers, body, secret)

    now_s = int(time.time())
    assert taken(b"{}", now_s) == {}
    for body, at_s in ((b"{} ", now_s), (b"{}", 1614265330)):
        with pytest.raises(WebhookVerificationError):
            taken(body, at_s)


def test_vendored_scripts_are_what_their_list_says() -> None:
    static = ROOT / "dashboard/static"
    told = dict(re.findall(r"`?([\w.\-]+\.js)`?.*?\b([0-9a-f]{64})\b", (static / "VENDOR.md").read_text()))
    assert told
    for name, digest in told.items():
        assert hashlib.sha256((static / name).read_bytes()).hexdigest() == digest, name


def test_every_sender_and_the_image_say_this_version() -> None:
    senders = list(update_version.files())
    assert len(senders) == 19
    for path in senders:
        said = [found[1] for found in update_version.SAID.findall(path.read_text(encoding="utf-8"))]
        assert said == [VERSION], path.name


def test_no_document_has_a_page_wait_for_zimwatchs_own_server() -> None:
    """A script of another server holds the page up for as long as that one does not answer."""
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "dashboard/templates").rglob("*.html")]
    documents += [ROOT / "sidecar/sdk/tap/zim-tap.js"]
    for path in documents:
        text = path.read_text(encoding="utf-8").replace("&lt;", "<").replace("&gt;", ">")
        for source in re.findall(r"""<script[^>]*\bsrc=["']([^"']*zim-tap[^"']*)""", text):
            assert source.startswith("/"), (path.name, source)


def test_the_readmes_event_is_of_now_and_of_nobody_in_the_demo() -> None:
    (command,) = re.findall(
        r"^curl \S+/v1/events .*?\}\]'$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    printed = subprocess.run(
        ["/bin/sh", "-c", str(command).replace("curl", "printf '%s\\n'", 1)], capture_output=True, check=True, text=True
    )
    (event,) = json.loads(printed.stdout.split("\n-d\n", 1)[1])
    assert abs(datetime.fromisoformat(event["occurred_at"]).timestamp() - time.time()) < 60
    decoded = decode(json.dumps([event]).encode(), "json", now_us())
    assert (decoded.rejected, event["app_id"] == devices.APP_ID) == ([], False)


def test_the_path_of_one_event_names_functions_that_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    path = text.split("## The path of one event")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", path, re.MULTILINE)[2:]
    assert len(rows) < 30, "it is to fit a screen"
    for _, functions, files in rows:
        defined = {name for file in re.findall(r"`(\S+?)`", files) for name in defined_in(ROOT / file)}
        assert set(re.findall(r"`(\S+?)`", functions)) <= defined


def defined_in(file: Path) -> Iterator[str]:
    """``function``, ``Class.method``, and functions within a function."""
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{one.name}" for one in node.body if isinstance(one, functions))
        elif isinstance(node, functions):
            yield from (one.name for one in ast.walk(node) if isinstance(one, functions))


def test_no_module_is_longer_than_400_lines() -> None:
    modules = [path for folder in ("sidecar", "dashboard") for path in (ROOT / folder).rglob("*.py")]
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in modules
        if "node_modules" not in path.parts
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_what_contributing_tells_to_add_to_is_there() -> None:
    paths = re.findall(r"`((?:sidecar|dashboard|schemas)/[\w./]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert [path for path in paths if not (ROOT / path).exists()] == []
