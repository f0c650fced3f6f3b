"""The words of a message: Jinja2 templates in a sandbox, with defaults that need no change.

A template may use ``what`` (firing, resolved, acknowledged, repeat), ``alert`` (the webhook's fields), ``alerts``
(those of a digest), ``user_url``, ``end_reason``, ``acknowledged_by`` and ``lasted``.
"""

from __future__ import annotations

from typing import Any, Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sidecar.store.alert_records import Message

_TEXT: Final = """\
{% if what == "resolved" %}{{ (end_reason or "it is over") | capitalize_first }}.
{% elif what == "acknowledged" %}{{ acknowledged_by or "Somebody" }} has taken it on.
{% else %}{{ alert.advice }}
{% endif %}
{% if alerts %}{% for one in alerts[:10] %}
- {{ one.summary }}
{% endfor %}
{% if alerts | length > 10 %}- … and {{ alert.count - 10 }} more
{% endif %}{% endif %}
{% if user_url %}User: {{ user_url }}
{% endif %}
{{ "Alerts" if alerts else "Acknowledge or silence" if what in ("firing", "repeat") else "Alert" }}: {{ alert.url }}"""
# A template of the settings gets this long at most: what a phone or a chat shows.
MOST_CHARACTERS: Final = 3_000

_environment = ImmutableSandboxedEnvironment(
    autoescape=False, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]


class Words:
    """Makes a message's title, one line that a person understands on a phone, and its text."""

    def __init__(self, template: str | None = None) -> None:
        self._text = _environment.from_string(template or _TEXT)

    def title(self, message: Message) -> str:
        """One line."""
        alert, lasted = message.body["alert"], message.body.get("lasted")
        words = {
            "firing": alert["severity"].upper(),
            "repeat": f"STILL FIRING, {lasted}" if lasted else "STILL FIRING",
            "resolved": "RESOLVED",
            "acknowledged": "ACKNOWLEDGED",
        }
        return " ".join(f"{words[message.what]}: {alert['summary']}".split())

    def text(self, message: Message) -> str:
        """The lines under it. A template that fails at run time is said to, and the message goes out all the same."""
        context = _context(message)
        try:
            told = self._text.render(context)
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
            told = f"{context['alert']['advice']}\n(the template failed: {error})\n{context['alert']['url']}"
        return told.strip()[:MOST_CHARACTERS]


def _context(message: Message) -> dict[str, Any]:
    body = message.body
    return {
        "what": message.what,
        "alert": body["alert"],
        "alerts": body.get("alerts", []),
        "user_url": body.get("user_url"),
        "end_reason": body.get("end_reason"),
        "acknowledged_by": body.get("acknowledged_by"),
        "lasted": body.get("lasted"),
    }
