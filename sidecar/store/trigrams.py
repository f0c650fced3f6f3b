"""Ids as trigrams, for an index that finds users by any part of their id, also by one or two characters.

An id is padded at its end, so that every part of it is a prefix of some trigram. A character is six hexadecimal digits,
and A to Z are a to z, as in LIKE.
"""

from __future__ import annotations

from typing import Final

from sidecar.store.database import SHORT_PART, folded

_RUN: Final = SHORT_PART
_MOST_RUNS: Final = 3


def of_id(user_id: str) -> set[str]:
    """The trigrams of an id."""
    padded = folded(user_id) + "\0" * (_RUN - 1)
    return {_hex(padded[start : start + _RUN]) for start in range(len(user_id))}


def of_part(part: str) -> tuple[bool, list[str]]:
    """The trigrams that every id with this part has; or True, and the prefix of a trigram that each of them has."""
    text = folded(part)
    if len(text) < _RUN:
        return True, [_hex(text)]
    runs = [text[start : start + _RUN] for start in range(len(text) - _RUN + 1)]
    return False, [_hex(run) for run in _rarest(runs)]


def _rarest(runs: list[str]) -> list[str]:
    """The trigrams that are likely to be rarest; the first two share at most one character, if possible.

    Ids differ in their digits, and towards their end. Each trigram costs one more pass over the index, and each false
    candidate a read of a user: with two trigrams there are five times as many candidates as matches, with three hardly
    more than matches. Two that share no character were worse: the second had more letters, which all ids have.
    """
    ranked = sorted(range(len(runs)), key=lambda at: (sum(map(str.isdigit, runs[at])), at), reverse=True)
    apart = [at for at in ranked if abs(at - ranked[0]) >= _RUN - 1]
    chosen = dict.fromkeys((ranked[0], *apart[:1], *ranked))
    return [runs[at] for at in list(chosen)[:_MOST_RUNS]]


def _hex(text: str) -> str:
    return "".join(f"{ord(character):06x}" for character in text)
