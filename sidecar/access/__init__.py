"""Authentication and authorisation: tokens, browser sessions, and access without a token on a new installation."""

from sidecar.access import routing
from sidecar.access.authentication import Authenticator, check_may
from sidecar.access.cookie import SessionCookie
from sidecar.access.oidc_sign_in import OidcSignIn
from sidecar.access.principal import (
    NAME_CHARACTERS,
    PRINCIPAL,
    Name,
    Principal,
    allowed,
    apps_of,
    begin,
    current,
    reader_of,
    signed,
    who,
)
from sidecar.access.refusals import (
    NotAllowedError,
    NotSignedInError,
    RefusedError,
    TooManyAttemptsError,
)
from sidecar.access.watch import EndedError, Watch

__all__ = [
    "NAME_CHARACTERS",
    "PRINCIPAL",
    "Authenticator",
    "EndedError",
    "Name",
    "NotAllowedError",
    "NotSignedInError",
    "OidcSignIn",
    "Principal",
    "RefusedError",
    "SessionCookie",
    "TooManyAttemptsError",
    "Watch",
    "allowed",
    "apps_of",
    "begin",
    "check_may",
    "current",
    "reader_of",
    "routing",
    "signed",
    "who",
]
