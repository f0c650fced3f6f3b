"""Sentences that Zimwatch writes in English where nobody's language is known, and that a page says in its reader's.

What is written is text: it is stored, sent and read by programs. A page reads the text back, finds the sentence and
what filled its gaps, and fills the translation of the same sentence.
"""

from __future__ import annotations

import re
from typing import ClassVar

_GAP = re.compile(r"%\((\w+)\)s")


class Sentence:
    """A sentence with gaps such as ``%(who)s``. Called with what fills them it gives the text."""

    known: ClassVar[list[Sentence]] = []
    """Every one that was made, in the order in which a text is tried: those first that begin with words of their own,
    and of these, as of the others, those first that say more themselves."""

    def __init__(self, text: str) -> None:
        self.text = text
        spoken = _GAP.split(text)
        self._rank = (spoken[0] == "", -sum(map(len, spoken[::2])))
        # Every other part is a gap's name. A gap takes as much as it can: a user may be called like a sentence.
        parts = (
            f"(?P<{part}>.*)" if place % 2 else re.escape(part.replace("%%", "%")) for place, part in enumerate(spoken)
        )
        self._pattern = re.compile("".join(parts), re.DOTALL)
        self.known.append(self)
        self.known.sort(key=lambda one: one._rank)  # noqa: SLF001 - of this class

    def __call__(self, **filled: object) -> str:
        """The text."""
        return self.text % filled

    def read(self, text: str) -> dict[str, str] | None:
        """What fills the gaps in ``text``; None where it is not this sentence. Filled in again it gives ``text``."""
        found = self._pattern.fullmatch(text)
        return None if found is None else found.groupdict()
