"""The sections about signing in elsewhere: ``oidc``, ``forward_auth``, and ``groups``, whose roles both use."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from sidecar.domain import app_ids
from sidecar.settings.value_kinds import Secret, Text

ROLES: Final = ("viewer", "support", "operator", "admin")
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

RolesByGroup = Annotated[
    dict[Annotated[str, Meta(min_length=1)], Literal[ROLES]],  # type: ignore[valid-type]
    Meta(description=f'a table of groups, each with one of {", ".join(ROLES)}, such as sre = "operator"'),
]
AppsByGroup = Annotated[
    dict[str, Annotated[tuple[Annotated[int, Meta(ge=0, le=2**63 - 1)], ...], Meta(min_length=1)]],
    Meta(description="a table of groups, each with a list of AppIDs, such as support-eu = [1234567890]"),
]
Issuer = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[^/\s?#@]+(/[^\s?#]*)?)?\Z",
        description="the provider's issuer, such as https://id.example.com/realms/staff, or empty",
    ),
]
ScopeNames = Annotated[
    tuple[Annotated[str, Meta(pattern=r"^[!#-\[\]-~]+\Z")], ...],
    Meta(description="a list of scopes such as openid, profile, email"),
]
HeaderName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}\Z", description="a header's name of letters, digits and -")
]
ClientId = Annotated[str, Meta(pattern=r"^[ -~]*\Z", description="the client's id at the provider, ASCII")]
Switch = Annotated[bool, Meta(description="true or false")]
Separator = Annotated[
    str, Meta(pattern=r"^[^\sA-Za-z0-9]\Z", description="one character that is no letter, digit or blank")
]


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What members of a group may do here, and for which apps; for every app where ``apps`` does not have the group."""

    roles: RolesByGroup = {}
    apps: AppsByGroup = {}

    def problems(self) -> list[str]:
        """Apps of a group that has no role, and a role whose groups have too many apps together."""
        problems = [
            f"groups.apps has the group {group}, which groups.roles does not have."
            for group in self.apps
            if group not in self.roles
        ]
        for role in dict.fromkeys(self.roles.values()):
            of_role = {one for group, apps in self.apps.items() if self.roles.get(group) == role for one in apps}
            if len(of_role) > app_ids.MOST:
                problems.append(f"groups.apps has {len(of_role)} apps for the role {role}; {app_ids.MOST} is the most.")
        return problems


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Signing in by OpenID Connect. Off without an issuer. ``button`` is what the provider is called there.

    ``groups_claim`` is the claim with a person's groups; dots lead into objects, as in ``realm_access.roles``.
    """

    issuer: Issuer = ""
    client_id: ClientId = ""
    client_secret: Secret | None = None
    scopes: ScopeNames = ("openid", "profile", "email")
    groups_claim: Text = "groups"
    button: Text = "OpenID Connect"

    @property
    def is_on(self) -> bool:
        """Whether a provider is given."""
        return bool(self.issuer)

    def problems(self, groups: GroupSettings) -> list[str]:
        """What is missing, and contradictions."""
        if not self.is_on:
            return ["oidc.issuer must be given where oidc.client_id is."] if self.client_id else []
        problems = []
        try:
            url = urlsplit(self.issuer)
            url.port  # noqa: B018 - reading it is what checks it
        except ValueError:
            return ["oidc.issuer must have an IPv6 address in its brackets and a port up to 65535."]
        if url.scheme != "https" and url.hostname not in _LOOPBACK:
            problems.append("oidc.issuer must be an https URL, unless it is on loopback.")
        if not self.client_id:
            problems.append("oidc.client_id must be given where oidc.issuer is.")
        if "openid" not in self.scopes:
            problems.append("oidc.scopes must have openid.")
        if not groups.roles:
            problems.append("groups.roles must have a group where oidc.issuer is given, or nobody could sign in by it.")
        return problems


class ForwardAuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Signing in by a proxy of ``server.trusted_proxies``, which names the person in headers of each request."""

    enabled: Switch = False
    user_header: HeaderName = "Remote-User"
    groups_header: HeaderName = "Remote-Groups"
    name_header: HeaderName = "Remote-Name"
    email_header: HeaderName = "Remote-Email"
    groups_separator: Separator = ","

    def problems(self, trusted_proxies: tuple[str, ...], groups: GroupSettings) -> list[str]:
        """What is missing, and names that two headers share."""
        if not self.enabled:
            return []
        problems = []
        if not trusted_proxies:
            problems.append("server.trusted_proxies must name the proxy where forward_auth.enabled is true.")
        if not groups.roles:
            problems.append(
                "groups.roles must have a group where forward_auth.enabled is true, or nobody could sign in."
            )
        names = [one.lower() for one in (self.user_header, self.groups_header, self.name_header, self.email_header)]
        if len(set(names)) < len(names):
            problems.append("forward_auth must have another name for each of its headers.")
        return problems
