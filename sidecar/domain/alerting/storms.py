"""Storms: how many users something befell within a window, and what they have in common."""

from __future__ import annotations

from collections import Counter

import msgspec

from sidecar.domain.alerting.distinct import Distinct

Traits = tuple[str | None, str | None, str | None]
"""Platform, SDK version, app version."""

_TRAITS = (("SDK", 1), ("app", 2), ("", 0))
# What fewer than this have in common says nothing.
_WORTH_TELLING = 0.5


class Member(msgspec.Struct, frozen=True, gc=False):
    """One user, when it happened (as received), and the device it happened on."""

    at_us: int
    traits: Traits


class Storm:
    """The users of one app whom one thing befell lately, each once, oldest first."""

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._recent: dict[str, Member] = {}
        self._counted = Distinct()
        self._traits: Counter[tuple[int, str]] = Counter()
        # One object for all that have the same, who are many.
        self._shared: dict[Traits, Traits] = {}

    def __len__(self) -> int:
        return len(self._recent)

    @property
    def total(self) -> int:
        """How many it befell since it was last calm."""
        return len(self._counted)

    @property
    def users(self) -> tuple[str, ...]:
        """Who is in the window."""
        return tuple(self._recent)

    @property
    def next_leaves_us(self) -> int | None:
        """When the window will be smaller; None while it is empty."""
        first = next(iter(self._recent.values()), None)
        return None if first is None else first.at_us + self._window_us

    def add(self, user_id: str, member: Member) -> None:
        """It happened to ``user_id``; moments must not go back."""
        self._recent.pop(user_id, None)
        traits = self._shared.setdefault(member.traits, member.traits)
        self._recent[user_id] = Member(member.at_us, traits)
        if self._counted.add(user_id):
            self._traits.update((place, value) for place, value in enumerate(traits) if value)

    def forget_before(self, now_us: int) -> None:
        """Lets go of those to whom it happened longer than a window ago."""
        old = []
        for user_id, member in self._recent.items():
            if member.at_us > now_us - self._window_us:
                break
            old.append(user_id)
        for user_id in old:
            del self._recent[user_id]

    def calm(self) -> None:
        """Nothing is going on: what is counted from here on are those in the window."""
        self._counted = Distinct(self._recent)
        self._shared = {member.traits: member.traits for member in self._recent.values()}
        self._traits = Counter(
            (place, value)
            for member in self._recent.values()
            for place, value in enumerate(member.traits)
            if value is not None
        )

    def share(self, online: int) -> float:
        """Of the users that were online, as far as ``online`` tells who still is."""
        return len(self._recent) / max(1, len(self._recent) + online)

    def common(self) -> str:
        """``96% on SDK 2.28.0, 91% on Android``: what most of them share; empty where it is nothing."""
        shared = []
        for name, place in _TRAITS:
            of_kind = {value: count for (own, value), count in self._traits.items() if own == place}
            if not of_kind:
                continue
            value, count = max(of_kind.items(), key=lambda one: one[1])
            share = count / max(1, self.total)
            if share > _WORTH_TELLING:
                shared.append(f"{share:.0%} on {f'{name} ' if name else ''}{value}")
        return ", ".join(shared)
