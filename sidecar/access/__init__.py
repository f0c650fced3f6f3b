"""Authentication and authorisation: tokens, browser sessions, and access without a token on a new installation."""

from sidecar.access import routing
from sidecar.access.account_admin import AccountError
from sidecar.access.authentication import Authenticator, check_may
from sidecar.access.first_run import FIRST_RUN, FirstRun
from sidecar.access.oidc_sign_in import OidcSignIn
from sidecar.access.own_account import AccountFormError, OwnAccount
from sidecar.access.passwords import passwords_of, strong_hasher
from sidecar.access.principal import (
    NAME_CHARACTERS,
    PRINCIPAL,
    Name,
    Principal,
    acting,
    allowed,
    apps_of,
    begin,
    current,
    principal_of,
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
from sidecar.access.sign_in import SignIn
from sidecar.access.watch import EndedError, Watch

__all__ = [
    "FIRST_RUN",
    "NAME_CHARACTERS",
    "PRINCIPAL",
    "AccountError",
    "AccountFormError",
    "Authenticator",
    "EndedError",
    "FirstRun",
    "Name",
    "NotAllowedError",
    "NotSignedInError",
    "OidcSignIn",
    "OwnAccount",
    "Principal",
    "RefusedError",
    "SignIn",
    "TooManyAttemptsError",
    "Watch",
    "acting",
    "allowed",
    "apps_of",
    "begin",
    "check_may",
    "current",
    "passwords_of",
    "principal_of",
    "reader_of",
    "routing",
    "signed",
    "strong_hasher",
    "who",
]
