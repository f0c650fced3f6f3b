"""The catalogue of findings: every kind, with all that it says, in both languages."""

from __future__ import annotations

import html
import re

import pytest

from dashboard.text import language
from sidecar.domain.findings import CHECKS, KINDS
from tests.support.running import Zimwatch
from tests.support.vectors import schema
from tests.support.wire import fresh_event


async def catalogue(running: Zimwatch, accepted: str) -> str:
    async with running.http.get("/findings", headers={"Accept": "text/html", "Accept-Language": accepted}) as answer:
        assert answer.status == 200
        return html.unescape(await answer.text())


@pytest.mark.parametrize("accepted", [language.ENGLISH, language.CHINESE])
async def test_it_has_all_of_each_kind(running: Zimwatch, accepted: str) -> None:
    text = await catalogue(running, "zh-CN" if accepted == language.CHINESE else "en")
    sections = re.split(r"<section ", text)[1:]
    assert len(sections) == len(CHECKS)
    language.set_language(accepted)
    for section, check in zip(sections, CHECKS, strict=True):
        assert f'id="{check.kind}"' in section
        assert f'class="severity {check.severity}"' in section
        assert f'href="{check.source}"' in section
        for sentence in (check.title, check.evidence, check.threshold, check.lifetime, check.say, *check.advice):
            assert language.gettext(sentence.template) in section
    assert [f"#{kind}" for kind in KINDS] == re.findall(r'<a href="(#\w+)">', text.split("<section ")[0])


async def test_every_page_leads_to_it(running: Zimwatch) -> None:
    async with running.http.get("/") as answer:
        assert 'href="/findings"' in await answer.text()


def test_the_kinds_are_those_of_the_api() -> None:
    kind = schema("openapi.json")["components"]["schemas"]["Finding"]["properties"]["kind"]
    assert set(kind["enum"]) == set(KINDS)


async def test_the_page_of_a_user_leads_to_what_its_findings_mean(running: Zimwatch) -> None:
    refused = {"type": "login_result", "code": 6_000_103, "message": ""}
    login = fresh_event(type="login", offline_login=False, token_expires_at=None, user_id="dave")
    old = {"sdk": {"name": "zego-zim-web", "version": "2.8.0"}}
    await running.send([login | old, fresh_event(**refused, user_id="dave", client_id=login["client_id"], seq=2) | old])
    async with running.http.get(f"/users/{login['app_id']}/dave?hand_off=1h") as answer:
        text = html.unescape(await answer.text())
    assert re.findall(r'href="/findings#(\w+)"', text) == ["login_refused", "old_sdk"]
    (shared,) = re.findall(r'value="[^"]*(/hand-off/[^"]+)"', text)
    async with running.http.get(shared) as answer:
        text = await answer.text()
    # Who reads a shared page may open no other.
    assert "6000103" in text
    assert re.findall(r'href="/(?:findings|token)', text) == []
