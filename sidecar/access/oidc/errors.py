"""What can go wrong while a person signs in by OpenID Connect, each with its sentence."""

from __future__ import annotations

from typing import Final

from sidecar.access.refusals import RefusedError
from sidecar.domain.texts import Sentence, Text

NOT_BEGUN: Final = Sentence(
    "oidc.not_begun", "this sign-in was not begun in this browser, or more than 10 minutes ago; begin again"
)
OTHER_STATE: Final = Sentence("oidc.other_state", "the provider's response belongs to another sign-in; begin again")
OTHER_PROVIDER: Final = Sentence(
    "oidc.other_provider", "the response is of another provider than the one this sign-in was begun with"
)
USED: Final = Sentence("oidc.used", "this sign-in was finished before; begin again")
NO_CODE: Final = Sentence("oidc.no_code", "the provider's response has no code")
DENIED: Final = Sentence("oidc.denied", "the provider did not sign you in: %(error)s")
CODE_REFUSED: Final = Sentence("oidc.code_refused", "the provider refused its own code: %(error)s")
UNREACHABLE: Final = Sentence("oidc.unreachable", "the provider for sign-in cannot be reached: %(why)s")
UNUSABLE: Final = Sentence("oidc.unusable", "the provider's %(document)s cannot be used: %(why)s")

TOKEN_UNREADABLE: Final = Sentence("oidc.token_unreadable", "the ID token cannot be read")
TOKEN_ALGORITHM: Final = Sentence("oidc.token_algorithm", "the ID token is not signed by an accepted algorithm")
TOKEN_KEY: Final = Sentence("oidc.token_key", "the ID token is signed with a key that the provider does not have")
TOKEN_SIGNATURE: Final = Sentence("oidc.token_signature", "the signature of the ID token is wrong")
TOKEN_ISSUER: Final = Sentence("oidc.token_issuer", "the ID token is of another issuer")
TOKEN_AUDIENCE: Final = Sentence("oidc.token_audience", "the ID token is for another client")
TOKEN_NONCE: Final = Sentence("oidc.token_nonce", "the ID token belongs to another sign-in")
TOKEN_EXPIRED: Final = Sentence("oidc.token_expired", "the ID token has expired")
TOKEN_EARLY: Final = Sentence("oidc.token_early", "the ID token is not valid yet; compare the clocks of both servers")
TOKEN_CLAIM: Final = Sentence("oidc.token_claim", "the ID token's %(claim)s is missing or wrong")

SIGNED_OUT_NO_ROLE: Final = Sentence(
    "oidc.lost_role", "you were signed out: none of your groups has a role here any more"
)
SIGNED_OUT_BY_PROVIDER: Final = Sentence("oidc.over", "you were signed out: the provider has ended your sign-in")
SIGNED_OUT_UNRENEWED: Final = Sentence(
    "oidc.not_renewed", "you were signed out: the provider's confirmation of your groups has expired"
)


class OidcError(RefusedError):
    """A sign-in failed: 400 for a response that fits no sign-in, 403 for a person who may not, 502 for the provider."""

    def __init__(self, message: Text, status: int) -> None:
        super().__init__(message)
        self.status = status


class ProviderError(OidcError):
    """The provider cannot be reached, or its answer cannot be used: says nothing about the person."""

    def __init__(self, message: Text) -> None:
        super().__init__(message, 502)


class LostRoleError(OidcError):
    """The provider says groups, and none of them has a role here (any more)."""

    def __init__(self, message: Text) -> None:
        super().__init__(message, 403)


class EndedByProviderError(OidcError):
    """The provider says that a token or a code is not valid (any more)."""

    def __init__(self, message: Text) -> None:
        super().__init__(message, 403)
