"""Assertions as an app's backend makes them."""

from __future__ import annotations

import time
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from sidecar.settings import AssertionSettings

APP: Final = 1234567890
SECRET: Final = "the-secret-of-the-apps-backend-0123"
BY_SECRET: Final = AssertionSettings(app_id=APP, secret=SECRET)
Key = OctKey | RSAKey | ECKey | OKPKey


def assertion(
    user_id: str = "alice", key: Key | None = None, algorithm: str = "HS256", kid: str | None = None, **claims: Any
) -> str:
    """A valid one, with ``claims`` in the place of its own; a claim that is None is left out."""
    of_user = {"sub": user_id, "app_id": APP, "aud": "zimwatch", "exp": int(time.time()) + 300} | claims
    header = {"alg": algorithm} if kid is None else {"alg": algorithm, "kid": kid}
    given = {name: value for name, value in of_user.items() if value is not None}
    return jwt.encode(header, given, key or OctKey.import_key(SECRET), algorithms=[algorithm])
