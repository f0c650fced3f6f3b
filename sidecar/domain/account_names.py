"""Names of accounts and rules of passwords; pure.

Of names that are the same but for case, width and composition only one can exist: a name is normalised as PRECIS's
UsernameCaseMapped does (https://www.rfc-editor.org/rfc/rfc8265#section-3.3), with NFKC and full case folding. A name
that mixes Latin, Cyrillic and Greek letters is refused, as many of these look the same. A name in one of these scripts
alone is not, even if it looks like one in another. A password is taken as it is, in
NFC (OpaqueString of the same RFC), and only its length is judged (NIST SP 800-63B, 3.1.1.2).
"""

from __future__ import annotations

import unicodedata
from typing import Final

from sidecar.domain.texts import Sentence, Text

NAME_CHARACTERS: Final = 64
PASSWORD_LEAST: Final = 12
PASSWORD_CHARACTERS: Final = 256
_ALIKE: Final = frozenset({"LATIN", "CYRILLIC", "GREEK"})
"""Scripts with letters that look the same, by the first word of a letter's name in Unicode."""
_MARKS: Final = frozenset("._-@+")
# What has to be left of a password without the account's name.
_BESIDE_NAME: Final = 8
_NAME_LEAST: Final = 3

_NAME: Final = Sentence(
    "account.name", "a name has 1 to %(most)s letters, digits or ._-@+ and begins with a letter or a digit"
)
_MIXED: Final = Sentence(
    "account.name_mixed",
    "a name does not mix Latin, Cyrillic and Greek letters, as many look the same; write it in one script",
)
_SHORT: Final = Sentence("account.password_short", "a password has at least %(least)s characters")
_LONG: Final = Sentence("account.password_long", "a password has at most %(most)s characters")
_CONTROL: Final = Sentence("account.password_control", "a password has no control characters")
_HAS_NAME: Final = Sentence("account.password_name", "the password is little more than the name")


def normal_name(text: str) -> str | None:
    """The form in which a name is stored and compared; None for one that no account can have."""
    folded = _folded(text)
    if not 0 < len(folded) <= NAME_CHARACTERS or not folded[0].isalnum() or _is_mixed(folded):
        return None
    return folded if all(one in _MARKS or unicodedata.category(one)[0] in "LMN" for one in folded) else None


def name_problem(text: str) -> Text:
    """Why no account can have this name, of which :func:`normal_name` is None."""
    return _MIXED() if _is_mixed(_folded(text)) else _NAME(most=NAME_CHARACTERS)


def normal_password(text: str) -> str:
    """The form in which a password is hashed and compared."""
    return unicodedata.normalize("NFC", text)


def password_problem(password: str, name: str) -> Text | None:
    """Why an account of this name may not have this password; None where it may."""
    if len(password) < PASSWORD_LEAST:
        return _SHORT(least=PASSWORD_LEAST)
    if len(password) > PASSWORD_CHARACTERS:
        return _LONG(most=PASSWORD_CHARACTERS)
    if any(unicodedata.category(one) in {"Cc", "Cs"} for one in password):
        return _CONTROL()
    folded = unicodedata.normalize("NFKC", password).casefold()
    if len(name) >= _NAME_LEAST and name in folded and len(folded.replace(name, "")) < _BESIDE_NAME:
        return _HAS_NAME()
    return None


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.strip()).casefold())


def _is_mixed(folded: str) -> bool:
    return len(_ALIKE & {unicodedata.name(one, "").partition(" ")[0] for one in folded if one.isalpha()}) > 1
