"""What groups at a provider or a proxy mean here: the one mapping of both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from sidecar.access.policy import PEOPLE
from sidecar.domain.texts import Sentence
from sidecar.settings import GroupSettings

NO_ROLE: Final = Sentence("groups.no_role", "none of your groups has a role here; an administrator can change that")
_WEAKEST_FIRST: Final = tuple(role.value for role in PEOPLE)


class Grant(msgspec.Struct, frozen=True):
    """A role, for these apps; ``apps`` None: for every app."""

    role: str
    apps: frozenset[int] | None


def granted(settings: GroupSettings, groups: Iterable[str]) -> Grant | None:
    """The strongest role of the groups, for the apps of those groups that give it; None where none of them does.

    Never more than one of the groups gives: a strong role for one app does not spread to the apps of a weak one.
    """
    roles = {group: settings.roles[group] for group in groups if group in settings.roles}
    if not roles:
        return None
    role = max(roles.values(), key=_WEAKEST_FIRST.index)
    giving = [group for group, one in roles.items() if one == role]
    if any(group not in settings.apps for group in giving):
        return Grant(role, None)
    return Grant(role, frozenset(app_id for group in giving for app_id in settings.apps[group]))
