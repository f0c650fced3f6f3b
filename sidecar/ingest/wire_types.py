"""The event types of wire version 1, as structs with the bounds of each field."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final

import msgspec

INT64_MOST: Final = 2**63 - 1

Integer = Annotated[int, msgspec.Meta(ge=-INT64_MOST - 1, le=INT64_MOST)]
Uuid = str  # checked in wire_events: a pattern costs more than decoding all else
Text = Annotated[str, msgspec.Meta(max_length=256)]
LongText = Annotated[str, msgspec.Meta(max_length=65_536)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Sdk(msgspec.Struct):
    """The client SDK that reported the event."""

    name: Text | None = None
    version: Text | None = None


class Reporter(Sdk):
    """The tap or port that sent the event."""


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Common(msgspec.Struct, kw_only=True, tag_field="type", tag=_snake_case):
    """The fields of every type. A type is a subclass, named by its class: ``Logout`` is ``logout``."""

    id: Uuid
    occurred_at: Moment
    client_id: Uuid
    seq: Annotated[int, msgspec.Meta(ge=1, le=INT64_MOST)]
    app_id: Annotated[int, msgspec.Meta(ge=0, le=INT64_MOST)]
    session_id: Uuid | None = None
    user_id: str | None = None
    platform: Text | None = None
    sdk: Sdk | None = None
    app_version: Text | None = None
    device_id: Text | None = None
    reporter: Reporter | None = None
    # Believed from an edge alone, as its token shows.
    observed_at: Moment | None = None
    proven: bool | None = None


class ConnectionStateChanged(Common):
    """The callback onConnectionStateChanged."""

    state: Integer | Text
    event: Integer | Text
    extended_data: LongText | None = None


class TokenWillExpire(Common):
    """The callback onTokenWillExpire."""

    second: Integer


class TokenRenewed(Common):
    """The result of renewToken; code 0 is success."""

    code: Integer
    token_expires_at: Moment | None = None


class Login(Common):
    """A call of login."""

    offline_login: bool
    token_expires_at: Moment | None = None


class LoginResult(Common):
    """The result of login; code 0 is success."""

    code: Integer
    message: LongText | None = None


class Logout(Common):
    """A call of logout."""


class ApiError(Common):
    """A call that failed with an error of the SDK."""

    method: Text
    code: Integer
    message: LongText | None = None


class Heartbeat(Common):
    """A periodic sign of life, with the current connection state of the SDK."""

    state: Integer | Text | None = None


Wire = ConnectionStateChanged | TokenWillExpire | TokenRenewed | Login | LoginResult | Logout | ApiError | Heartbeat
