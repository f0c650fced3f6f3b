"""``POST /v1/chatops`` and Slack's slash command: chat commands over HTTP.

A request with a token may do what the token may; a signed one, what ``alerts.chatops_scope`` allows.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from sidecar import access
from sidecar.access import audit, routing
from sidecar.access.policy import POLICY, Action
from sidecar.alerting import AlertReaction
from sidecar.alerting.chat_commands import Author, ChatCommands, command_in
from sidecar.api import json_views
from sidecar.clock import Clock
from sidecar.domain import outside_text
from sidecar.settings import Settings
from sidecar.store import Store
from sidecar.web import request_body
from sidecar.web.problem import Problem
from sidecar.web.signed_request import Signature

_FIELDS_MOST = 64
_BLOCK_CHARACTERS = 2_900


class Line(msgspec.Struct):
    """The body of the generic call; ``user`` is the author's name in the chat."""

    text: str
    user: access.Name | None = None


def routes(store: Store, reaction: AlertReaction, settings: Settings, clock: Clock) -> list[web.AbstractRouteDef]:
    """Both calls."""
    commands = ChatCommands(store, reaction, clock)
    alerts = settings.alerts

    async def generic(request: web.Request) -> web.Response:
        principal = request.get(access.PRINCIPAL)
        if principal is None:
            if alerts.chatops_secret is None:
                raise Problem(403, "signed commands are not accepted: alerts.chatops_secret is not set")
            # Headers are checked before the body is read.
            signature = Signature.of_webhook(request, alerts.chatops_secret, clock())
            raw = await request_body.read(request, may_be_packed=False)
            await signature.accept(store, raw, clock())
            principal = access.signed("chat", alerts.chatops_scope)
        else:
            raw = await request_body.read(request)
        line = request_body.decode(raw, Line)
        trail = _trail(request, principal.called(line.user or ""), line.text)
        author = Author(trail.who, POLICY[principal.role], principal.apps, recorded=trail.after)
        return json_views.response({"text": await commands.answer(line.text, author)})

    async def slack(request: web.Request) -> web.Response:
        if alerts.slack_signing_secret is None:
            raise Problem(403, "Slack commands are not accepted: alerts.slack_signing_secret is not set")
        signature = Signature.of_slack(request, alerts.slack_signing_secret, clock())
        raw = await request_body.read(request, may_be_packed=False)
        await signature.accept(store, raw, clock())
        try:
            fields = parse_qs(raw.decode(errors="replace"), max_num_fields=_FIELDS_MOST)
        except ValueError:
            raise Problem(400, f"a Slack command has at most {_FIELDS_MOST} fields") from None
        form = {name: values[-1] for name, values in fields.items()}
        who = form.get("user_name") or form.get("user_id") or ""
        principal = access.signed("Slack", alerts.chatops_scope)
        text = form.get("text", "")
        trail = _trail(request, principal.called(who), text)
        author = Author(
            trail.who,
            POLICY[principal.role],
            recorded=trail.after,
            literal=outside_text.slack,
            link=outside_text.slack_link,
        )
        shown = (await commands.answer(text, author))[:_BLOCK_CHARACTERS]
        block = {"type": "section", "text": {"type": "mrkdwn", "text": shown, "verbatim": True}}
        return json_views.response({"response_type": "ephemeral", "text": shown, "blocks": [block]})

    return [
        routing.post("/v1/chatops", generic, Action.SEE_USERS, signed_by="webhook-signature"),
        routing.post("/v1/chatops/slack", slack, Action.SEE_USERS, signed_by="X-Slack-Signature"),
    ]


def _trail(request: web.Request, who: str, line: str) -> audit.Trail:
    """The command in the audit log; one that changes something is there as that change."""
    trail = audit.of(request)
    name, about = command_in(line)
    trail.actor = who
    trail.subjects = () if about is None else (about,)
    if name:
        trail.details["command"] = name
    return trail
