"""Signing in by OpenID Connect: the protocol alone. Sessions and routes are of their own rooms."""

from sidecar.access.oidc.client import LookUp, OpenIdConnect, Person
from sidecar.access.oidc.errors import EndedByProviderError, LostRoleError, OidcError, ProviderError
from sidecar.access.oidc.flow import CALLBACK, LASTS_S, LOGOUT, PATH, FlowCookie

__all__ = [
    "CALLBACK",
    "LASTS_S",
    "LOGOUT",
    "PATH",
    "EndedByProviderError",
    "FlowCookie",
    "LookUp",
    "LostRoleError",
    "OidcError",
    "OpenIdConnect",
    "Person",
    "ProviderError",
]
