"""Makes text from outside, such as ids, versions and answers, safe to put into messages and logs. Pure."""

from __future__ import annotations

from typing import Final

_MARK: Final = "\N{REPLACEMENT CHARACTER}"
# Line breaks, invisible characters, changes of direction (UAX #9), and surrogates. The joiners U+200C and U+200D are
# part of words and emoji.
_INVISIBLE: Final = (
    *range(0x20),
    *range(0x7F, 0xA0),
    0xAD,
    0x34F,
    0x61C,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    0x180E,
    0x200B,
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0x2800,
    0x3164,
    *range(0xD800, 0xE000),
    0xFEFF,
    0xFFA0,
    *range(0xFFF9, 0xFFFC),
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE0080),
)
_SHOWN_AS: Final = dict.fromkeys(_INVISIBLE, _MARK)
# Chats read these as markup or a mention at the edges of a word; each is replaced by a look-alike.
_AT_EDGES: Final = {"*": "∗", "_": "＿", "~": "∼", "@": "＠", ":": "꞉"}
_ANYWHERE: Final = {"`": "ˋ", "[": "［", "]": "］"}
_ANGLES: Final = {"<": "‹", ">": "›"}


def one_line(text: str) -> str:
    """The text in one line, with a visible mark for each invisible character."""
    return text.translate(_SHOWN_AS)


def cut(text: str, longest: int) -> str:
    """One line of at most ``longest`` characters."""
    return one_line(text if len(text) <= longest else text[: longest - 1] + "…")


def unmarked(text: str) -> str:
    """One line for a chat, with look-alikes in place of markup."""
    return _replaced(one_line(text), _ANYWHERE | _ANGLES)


def slack(text: str) -> str:
    """One line for Slack's mrkdwn (https://docs.slack.dev/messaging/formatting-message-text), which has entities."""
    return _entities(_replaced(one_line(text), _ANYWHERE))


def slack_link(url: str) -> str:
    """An explicit link to one of our own URLs for Slack, so that nothing in it is markup."""
    return f"<{_entities(one_line(url)).replace('|', '%7C')}>"


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _replaced(text: str, anywhere: dict[str, str]) -> str:
    if not any(sign in text for sign in (*anywhere, *_AT_EDGES)):
        return text
    out = []
    last = len(text) - 1
    for place, sign in enumerate(text):
        inside = 0 < place < last and text[place - 1].isalnum() and text[place + 1].isalnum()
        # A colon before a blank is a colon.
        plain = inside or (sign == ":" and (place == last or text[place + 1].isspace()))
        out.append(anywhere.get(sign) or (sign if plain else _AT_EDGES.get(sign, sign)))
    return "".join(out)
