"""What Zimwatch wrote in English, where it knew nobody's language, in the language of the request."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from dashboard.alert_words import HELD_WORDS
from dashboard.language import ENGLISH, current
from dashboard.language import gettext as _
from sidecar.domain.alerting import words
from sidecar.domain.sentences import Sentence

_SPAN: Final = re.compile(r"(\d+) (s|min|h|d)")
_SHARE: Final = re.compile(r"(\d+%) on (.*)", re.DOTALL)
_SHARES: Final = re.compile(r", (?=\d+% on )")


def said(text: str) -> str:
    """``text`` in the language of the request; as it is where it is no sentence of ours."""
    language = current()
    return text if language == ENGLISH else _said(language, text)


@lru_cache(8_192)
def _said(_language: str, text: str) -> str:
    for sentence in Sentence.known:
        filled = sentence.read(text)
        if filled is not None:
            return _(sentence.text) % {name: _GAPS.get(name, str)(value) for name, value in filled.items()}
    return text


def _someone(who: str) -> str:
    return _(who) if who == words.NOBODY.text else who


def _device(device: str) -> str:
    return _(device) if device == words.UNNAMED.text else device


def _span(span: str) -> str:
    found = _SPAN.fullmatch(span)
    if found is None:
        return span
    units = {"s": _("%(count)s s"), "min": _("%(count)s min"), "h": _("%(count)s h"), "d": _("%(count)s d")}
    return units[found[2]] % {"count": found[1]}


def _common(common: str) -> str:
    return _(", ").join(_share(one) for one in _SHARES.split(common))


def _share(text: str) -> str:
    found = _SHARE.fullmatch(text)
    if found is None:
        return text
    of, _space, version = found[2].partition(" ")
    what = f"{_('app')} {version}" if of == "app" and version else found[2]
    return _("%(share)s on %(what)s") % {"share": found[1], "what": what}


# What fills these gaps is of ours too; all others are names and numbers.
_GAPS: Final[dict[str, Callable[[str], str]]] = {
    "told": said,
    "why": said,
    "who": _someone,
    "device": _device,
    "other": _device,
    "span": _span,
    "common": _common,
    "held": lambda held: _(HELD_WORDS[held]) if held in HELD_WORDS else held,
}
