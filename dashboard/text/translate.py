"""Translation of texts into the language of the request."""

from __future__ import annotations

from typing import Final

from dashboard.text.alert_texts import SUPPRESSION_TEXTS
from dashboard.text.language import gettext as _
from sidecar.domain.texts import Sentence, Text

# A parameter that names why an alert is suppressed.
_HELD: Final = "held"


def translate(text: Text | str) -> str:
    """``text`` and its parameters, translated; a string unchanged."""
    if isinstance(text, str):
        return text
    return _(Sentence.known[text.sentence].template) % parameters(text)


def parameters(text: Text) -> dict[str, str]:
    """The parameters of ``text``, each translated."""
    return {name: _parameter(name, value) for name, value in text.parameters.items()}


def _parameter(name: str, value: Text | str) -> str:
    if name == _HELD and isinstance(value, str) and value in SUPPRESSION_TEXTS:
        return _(SUPPRESSION_TEXTS[value])
    return translate(value)
