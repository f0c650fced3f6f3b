"""How users are named outside of Zimwatch: by the id, by a keyed hash of it, or not at all. Pure.

The one place that ``privacy.user_id_in_telemetry`` is decided in, for spans and for messages to receivers.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final, Literal

import msgspec

from sidecar.domain.texts import VERBATIM, Sentence, Text, verbatim

Mode = Literal["plain", "hash", "off"]
HASHED: Final = Sentence("user_by_hash", "user %(hash)s")
A_USER: Final = Sentence("user_unnamed", "a user")
# The parameter of the sentences of alerts that is a user's id.
_WHO: Final = "who"


class UserNaming(msgspec.Struct, frozen=True):
    """``key``: of the hashes, one of the database's. It is not needed for ``plain``."""

    mode: Mode = "plain"
    key: bytes = b""

    @property
    def is_plain(self) -> bool:
        """Whether ids are given."""
        return self.mode == "plain"

    def hash(self, app_id: int | None, user_id: str) -> str | None:
        """32 hexadecimal digits, the same for a user as long as the database is the same; None but for ``hash``."""
        return self._digest(f"telemetry\0{app_id}\0{user_id}") if self.mode == "hash" else None

    def fields(self, app_id: int | None, user_id: str | None) -> dict[str, Any]:
        """``user_id``, and ``user_hash`` with ``hash``."""
        if self.is_plain or user_id is None:
            return {"user_id": user_id}
        hashed = self.hash(app_id, user_id)
        return {"user_id": None} | ({} if hashed is None else {"user_hash": hashed})

    def text(self, text: Text, app_id: int | None, user_id: str | None) -> Text:
        """A sentence about the user, with its name as it may be given."""
        if self.is_plain or user_id is None:
            return text
        hashed = self.hash(app_id, user_id)
        name = A_USER() if hashed is None else HASHED(hash=hashed)
        if text.sentence == VERBATIM.id:  # of an older version
            return verbatim(str(text).replace(user_id, str(name)))
        return _about(text, name)

    def fingerprint(self, fingerprint: str, alert_id: int) -> str:
        """One that no id can be compared with; with ``off`` also none that two alerts about one user have in common."""
        if self.is_plain:
            return fingerprint
        return self._digest(f"fingerprint\0{fingerprint}" + (f"\0{alert_id}" if self.mode == "off" else ""))

    def _digest(self, text: str) -> str:
        return hmac.digest(self.key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)[:16].hex()


def _about(text: Text, name: Text) -> Text:
    parameters = {
        key: name if key == _WHO else _about(value, name) if isinstance(value, Text) else value
        for key, value in text.parameters.items()
    }
    return Text(text.sentence, parameters)


PLAIN: Final = UserNaming()
