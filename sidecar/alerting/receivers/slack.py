"""Slack: one message per alert, edited in place when the alert changes, with its history in a thread."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sidecar.alerting.notify.message_templates import MessageTemplate
from sidecar.alerting.receivers.receiver import Receiver
from sidecar.alerting.tables.alert_values import Message
from sidecar.domain import outside_text
from sidecar.domain.retry import retry_after_us
from sidecar.http_client import DeliveryError, HttpClient, Proof, raise_for
from sidecar.settings.alert_settings import ReceiverSettings
from sidecar.settings.value_kinds import Secret, Text, Url

# https://docs.slack.dev/reference/methods/chat.postMessage: temporary errors. Every other error is permanent.
_RETRIED: Final = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
# An id that looks like an address becomes no link and no preview; our own addresses are written as links.
_AS_WRITTEN: Final = {"parse": "none"}
_NO_PREVIEW: Final = {**_AS_WRITTEN, "unfurl_links": False, "unfurl_media": False}
_ANSWER_BYTES: Final = 1 << 20
# The first message is gone or cannot be edited: the reply in the thread is sent all the same.
_NOT_EDITABLE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_COLOURS: Final = {"critical": ":red_circle:", "warning": ":large_orange_circle:", "info": ":large_blue_circle:"}


class SlackSettings(ReceiverSettings, frozen=True, kw_only=True, tag="slack"):
    """A Slack app's bot, which needs the scope chat:write."""

    token: Secret
    channel: Text
    url: Url = "https://slack.com/api/"


class Slack(Receiver):
    """Needs a bot token with the scope chat:write, and the bot in the channel."""

    settings_type = SlackSettings
    takes_acknowledgements = True

    def __init__(self, settings: SlackSettings, http: HttpClient) -> None:
        self._url = settings.url
        self._token = settings.token
        self._channel = settings.channel
        self._template = MessageTemplate(settings.template, outside_text.slack, outside_text.slack_link)
        self._http = http

    async def send(self, message: Message, earlier: Proof | None, _now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.receiver.Receiver`. The proof is the thread: channel and time."""
        content = _content(message, self._template)
        if earlier and "ts" in earlier:
            thread = {"channel": earlier["channel"], "thread_ts": earlier["ts"]}
            if message.what != "repeat":
                edited = {"channel": earlier["channel"], "ts": earlier["ts"], **content, **_AS_WRITTEN}
                await self._call("chat.update", edited, ignored=_NOT_EDITABLE)
            line = f"*{self._template.title(message)}*\n{self._template.text(message)}"
            reply = await self._call(
                "chat.postMessage", {**thread, "text": line, "metadata": _metadata(message), **_NO_PREVIEW}
            )
            return {"channel": earlier["channel"], "ts": earlier["ts"], "reply_ts": reply.ts}
        posted = await self._call(
            "chat.postMessage", {"channel": self._channel, "metadata": _metadata(message), **content, **_NO_PREVIEW}
        )
        return {"channel": posted.channel, "ts": posted.ts}

    async def _call(self, method: str, body: dict[str, Any], ignored: frozenset[str] = frozenset()) -> _Answer:
        """One call of Slack's Web API; DeliveryError unless it succeeded or failed with one of ``ignored``."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json; charset=utf-8"}
        url = f"{self._url.rstrip('/')}/{method}"
        answer = await self._http.request("POST", url, msgspec.json.encode(body), headers, most_bytes=_ANSWER_BYTES)
        try:
            decoded = msgspec.json.decode(answer.body, type=_Answer)
        except msgspec.MsgspecError:
            raise_for(answer.status, answer.headers, "")
            raise DeliveryError("Slack: its response cannot be read", permanent=False) from None
        if (decoded.ok and answer.is_success) or decoded.error in ignored:
            return decoded
        temporary = decoded.error in _RETRIED or answer.status == 429 or answer.status >= 500  # noqa: PLR2004 - HTTP's too many and server errors
        reason = decoded.error or f"HTTP {answer.status}"
        raise DeliveryError(f"Slack: {reason}", permanent=not temporary, retry_after_us=retry_after_us(answer.headers))


class _Answer(msgspec.Struct):
    ok: bool = False
    error: str = ""
    channel: str = ""
    ts: str = ""


def _content(message: Message, template: MessageTemplate) -> dict[str, Any]:
    """``text`` is for the notification on a phone, the blocks are for the channel."""
    alert = message.body["alert"]
    title = template.title(message)
    mark = ":white_check_mark:" if message.what == "resolved" else _COLOURS[alert["severity"]]
    section = f"{mark} *{title}*\n{template.text(message)}"
    return {
        "text": title,
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": section[:3_000], "verbatim": True}}],
    }


def _metadata(message: Message) -> dict[str, Any]:
    # The same on every attempt: Slack has no idempotency key, so this identifies a message that was sent twice.
    return {"event_type": "zimwatch_alert", "event_payload": {"message_id": message.public_id}}
