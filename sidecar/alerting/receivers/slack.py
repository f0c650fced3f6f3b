"""Slack: a message for each alert, edited in place as things go on, with a thread that tells what happened."""

from __future__ import annotations

from typing import Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from sidecar.alerting.messages import Words
from sidecar.alerting.outgoing import TIMEOUT, DeliveryError, Outgoing, Proof, failure, retry_after_us
from sidecar.settings.alerts import SlackSettings
from sidecar.store.alert_records import Message

# https://docs.slack.dev/reference/methods/chat.postMessage: what Slack may mend by itself. Every other error stays.
_RETRIED: Final = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
# The first message is gone or may not be edited: the thread still tells.
_NOT_EDITABLE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_COLOURS: Final = {"critical": ":red_circle:", "warning": ":large_orange_circle:", "info": ":large_blue_circle:"}


class Slack:
    """Needs a bot token with chat:write, and the bot in the channel."""

    def __init__(self, settings: SlackSettings, outgoing: Outgoing) -> None:
        self._url = settings.url
        self._token = settings.token
        self._channel = settings.channel
        self._words = Words(settings.template)
        self._outgoing = outgoing

    async def send(self, message: Message, earlier: Proof | None, _now_us: int) -> Proof:
        """See :class:`sidecar.alerting.receivers.Receiver`. The proof is the thread's: where it is, and its time."""
        self._outgoing.check(self._url)
        client = AsyncWebClient(
            self._token, base_url=self._url, session=self._outgoing.session, timeout=int(TIMEOUT.total or 10)
        )
        told = _blocks(message, self._words)
        try:
            if earlier and "ts" in earlier:
                if message.what != "repeat":
                    await self._edit(client, earlier, told)
                line = f"*{_escaped(self._words.title(message))}*\n{_escaped(self._words.text(message))}"
                reply = await client.chat_postMessage(
                    channel=earlier["channel"], thread_ts=earlier["ts"], text=line, metadata=_metadata(message)
                )
                return {"channel": earlier["channel"], "ts": earlier["ts"], "reply_ts": reply["ts"]}
            posted = await client.chat_postMessage(channel=self._channel, metadata=_metadata(message), **told)
        except SlackApiError as error:
            raise _delivery_error(error) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failure(error) from None
        return {"channel": posted["channel"], "ts": posted["ts"]}

    async def _edit(self, client: AsyncWebClient, earlier: Proof, told: dict[str, Any]) -> None:
        try:
            await client.chat_update(channel=earlier["channel"], ts=earlier["ts"], **told)
        except SlackApiError as error:
            if error.response.get("error") not in _NOT_EDITABLE:
                raise


def _blocks(message: Message, words: Words) -> dict[str, Any]:
    """``text`` is what a notification on a phone shows; the blocks are what the channel shows."""
    alert = message.body["alert"]
    title = words.title(message)
    mark = ":white_check_mark:" if message.what == "resolved" else _COLOURS[alert["severity"]]
    section = f"{mark} *{_escaped(title)}*\n{_escaped(words.text(message))}"
    return {
        "text": _escaped(title),
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": section[:3_000]}}],
    }


def _metadata(message: Message) -> dict[str, Any]:
    # The same on every attempt: Slack has no key of idempotency, so that a reader can tell a message sent twice.
    return {"event_type": "zimwatch_alert", "event_payload": {"message_id": message.public_id}}


def _escaped(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _delivery_error(error: SlackApiError) -> DeliveryError:
    response: Any = error.response
    name = str(response.get("error", "")) if hasattr(response, "get") else ""
    status = int(getattr(response, "status_code", 0) or 0)
    mends = name in _RETRIED or status == 429 or status >= 500  # noqa: PLR2004 - HTTP's too many and server errors
    asked = retry_after_us(getattr(response, "headers", None) or {})
    return DeliveryError(f"Slack: {name or f'HTTP {status}'}", permanent=not mends, retry_after_us=asked)
