"""``[[ingest.assertions]]``: for each app the key by which its backend vouches for users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from sidecar.settings.value_kinds import AppId, HttpUrl, Secret, Text

# HS256 needs a key as long as its digest (RFC 7518, section 3.2).
SECRET_BYTES: Final = 32
Flag = Annotated[bool, Meta(description="true or false")]


class AssertionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One app's key: a secret (HS256), a public key in PEM, or the address of its public keys (JWKS).

    ``secret_file`` and ``public_key_file`` name a file with it. ``require``: events without a proof are rejected.
    ``audience`` is what an assertion must name as ``aud``.
    """

    app_id: AppId
    secret: Secret | None = None
    secret_file: Text | None = None
    public_key: Text | None = None
    public_key_file: Text | None = None
    jwks_url: HttpUrl | None = None
    require: Flag = False
    audience: Text = "zimwatch"

    def with_files(self) -> tuple[AssertionSettings, list[str]]:
        """The same with what its files contain; and for each problem the rest of a sentence, without its full stop."""
        read, problems = {}, []
        for name in ("secret", "public_key"):
            path = getattr(self, f"{name}_file")
            if path is None:
                continue
            try:
                read[name] = Path(path).read_text(encoding="utf-8-sig").strip()
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
                problems.append(f".{name}_file cannot be read from {path}: {why}")
        if any(getattr(self, name) is not None for name in read):
            problems.append(" has both a key and the name of a file with it")
        return (msgspec.structs.replace(self, **read) if read else self), problems

    def problems(self) -> Iterator[str]:
        """What is missing, and contradictions: the rest of a sentence that begins with its name."""
        given = (self.secret, self.public_key, self.jwks_url)
        files = (self.secret_file, self.public_key_file)
        if sum(one is not None for one in given) > 1 or not any((*given, *files)):
            yield " must have one of secret, public_key and jwks_url, or the file of one of the first two."
        if self.secret is not None and len(self.secret.encode()) < SECRET_BYTES:
            yield f".secret must have {SECRET_BYTES} bytes at least."


def problems_of(assertions: tuple[AssertionSettings, ...]) -> Iterator[str]:
    """The problems of all of them together."""
    apps = [one.app_id for one in assertions]
    for number, one in enumerate(assertions):
        where = f"ingest.assertions[{number}]"
        yield from (f"{where}{problem}" for problem in one.problems())
        if one.app_id in apps[:number]:
            yield f"{where}.app_id is {one.app_id}, which another one has."
