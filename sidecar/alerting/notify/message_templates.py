"""The title and text of a message: Jinja2 templates in a sandbox, with a default.

Values are escaped for the receiver first (``literal``), so that markup can only come from the template itself.

A template may use ``what`` (firing, resolved, acknowledged, repeat), ``alert`` (the webhook's fields), ``alerts``
(those of a digest), ``app_name``, ``user_url``, ``back_office_url``, ``end_reason``, ``acknowledged_by`` and
``lasted``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import jinja2
import jinja2.nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sidecar.alerting.tables.alert_values import Message
from sidecar.domain.outside_text import one_line

_TEXT: Final = """\
{% if what == "resolved" %}{{ (end_reason or "resolved") | capitalize_first }}.
{% elif what == "acknowledged" %}Acknowledged by {{ acknowledged_by or "somebody" }}.
{% else %}{{ alert.advice }}
{% endif %}
{% if alerts %}{% for one in alerts[:10] %}
- {{ one.summary }}
{% endfor %}
{% if alerts | length > 10 %}- … and {{ alert.count - 10 }} more
{% endif %}{% endif %}
{% if app_name %}App: {{ app_name }} ({{ alert.app_id }})
{% endif %}
{% if user_url %}User: {{ user_url }}
{% endif %}
{% if back_office_url %}Back office: {{ back_office_url }}
{% endif %}
{{ "Alerts" if alerts else "Acknowledge or silence" if what in ("firing", "repeat") else "Alert" }}: {{ alert.url }}"""
Literal = Callable[[str], str]
"""Escapes text from outside so that the receiver shows it literally, in one line."""
_LINKS: Final = frozenset({"url", "user_url", "back_office_url"})
# The longest text that a template can give: as much as a phone or a chat shows.
MOST_CHARACTERS: Final = 3_000

_LARGEST_RANGE: Final = 1_000
_LARGEST_PRODUCT: Final = 100_000


class _Environment(ImmutableSandboxedEnvironment):
    """Without powers and large ranges and repetitions, so that the cost of a template is bounded."""

    intercepted_binops = frozenset({"**", "*", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
        if operator == "**":
            raise SecurityError("powers (**) are not allowed in a template")
        if operator == "%" and isinstance(left, str):
            raise SecurityError("formatting with % is not allowed in a template: write {{ … }}")
        if operator == "*":
            sizes = [len(one) if hasattr(one, "__len__") else abs(one) for one in (left, right)]
            if sizes[0] * sizes[1] > _LARGEST_PRODUCT:
                raise SecurityError(f"a product in a template is {_LARGEST_PRODUCT} at most")
        return super().call_binop(context, operator, left, right)


def _range(*given: int) -> range:
    numbers = range(*given)
    if len(numbers) > _LARGEST_RANGE:
        raise SecurityError(f"a range in a template has {_LARGEST_RANGE} members at most")
    return numbers


_environment = _Environment(autoescape=False, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_environment.globals["range"] = _range
_environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]


def compiled(text: str) -> jinja2.Template:
    """The template; TemplateSyntaxError where it has an error, or a construct of unbounded cost."""
    tree = _environment.parse(text)
    for power in tree.find_all(jinja2.nodes.Pow):
        raise jinja2.TemplateSyntaxError("powers (**) are not allowed", power.lineno)
    for macro in tree.find_all(jinja2.nodes.Macro):
        for call in macro.find_all(jinja2.nodes.Call):
            if isinstance(call.node, jinja2.nodes.Name) and call.node.name == macro.name:
                raise jinja2.TemplateSyntaxError(f"the macro {macro.name} calls itself", call.lineno)
    for loop in tree.find_all(jinja2.nodes.For):
        if loop.recursive:
            raise jinja2.TemplateSyntaxError("recursive loops are not allowed", loop.lineno)
    return _environment.from_string(text)


class MessageTemplate:
    """Renders the title of a message, one line that a person understands on a phone, and its text."""

    def __init__(self, template: str | None = None, literal: Literal = one_line, link: Literal = one_line) -> None:
        self._text = compiled(template or _TEXT)
        self._literal = literal
        self._link = link

    def title(self, message: Message) -> str:
        """One line."""
        alert, lasted = message.body["alert"], message.body.get("lasted")
        prefixes = {
            "firing": alert["severity"].upper(),
            "repeat": f"STILL FIRING, {lasted}" if lasted else "STILL FIRING",
            "resolved": "RESOLVED",
            "acknowledged": "ACKNOWLEDGED",
        }
        app_name = message.body.get("app_name")
        app = f" ({self._literal(app_name)})" if app_name else ""
        return " ".join(f"{prefixes[message.what]}{app}: {self._literal(alert['summary'])}".split())

    def text(self, message: Message) -> str:
        """The lines below the title. Where the template fails, a text that names the error."""
        try:
            text = self.render(message)
        except (jinja2.TemplateError, ArithmeticError, TypeError, ValueError, LookupError, RuntimeError) as error:
            alert = self._safe("alert", message.body["alert"])
            failed = self._literal(f"(the template failed: {error})")
            text = f"{alert['advice']}\n{failed}\n{alert['url']}"
        return text.strip()[:MOST_CHARACTERS]

    def render(self, message: Message) -> str:
        """The text as the template renders it, and any error that it raises."""
        return self._text.render({name: self._safe(name, value) for name, value in _context(message).items()})

    def _safe(self, name: str, value: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, str):
            return self._link(value) if name in _LINKS else self._literal(value)
        if isinstance(value, Mapping):
            return {self._literal(key): self._safe(key, one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._safe(name, one) for one in value]
        return value


def _context(message: Message) -> dict[str, Any]:
    body = message.body
    return {
        "what": message.what,
        "alert": body["alert"],
        "alerts": body.get("alerts", []),
        "app_name": body.get("app_name"),
        "user_url": body.get("user_url"),
        "back_office_url": body.get("back_office_url"),
        "end_reason": body.get("end_reason"),
        "acknowledged_by": body.get("acknowledged_by"),
        "lasted": body.get("lasted"),
    }
