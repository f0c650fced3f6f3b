"""What Zimwatch reads of a person's claims: a subject, a name, and groups. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# In their order: what colleagues would call somebody in an audit, and what they would find in the provider.
_NAMES: Final = ("name", "preferred_username", "nickname", "email")
MOST_GROUPS: Final = 1_000


def name_of(claims: Mapping[str, Any]) -> str:
    """A name to show; empty where the claims have none."""
    return next((text for name in _NAMES if isinstance(text := claims.get(name), str) and text.strip()), "")


def groups_of(claims: Mapping[str, Any], path: str) -> tuple[str, ...] | None:
    """The groups in the claim at ``path``; None where there is no such claim.

    A claim is a list of texts, one text, or an object whose names are the groups. The claim ``email`` counts once the
    provider has verified it, since anybody may enter any address elsewhere.
    """
    found = _at(claims, path)
    if found is None or (path == "email" and claims.get("email_verified") is not True):
        return None
    if isinstance(found, str):
        return (found,)
    if isinstance(found, list | dict):
        return tuple(one for one in list(found)[:MOST_GROUPS] if isinstance(one, str))
    return ()


def _at(claims: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - a claim may be any JSON
    """The claim of that name, else the one at the end of the path: names of claims may be URLs, with dots in them."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found
