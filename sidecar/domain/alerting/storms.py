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
    """The users of one app whom one thing befell lately, each once, oldest first.

    While it rages, all are counted whom it befell since it began; else those in the window.
    """

    def __init__(self, window_us: int) -> None:
        self._window_us = window_us
        self._recent: dict[str, Member] = {}
        self._befell: Distinct | None = None
        # How many of those that are counted have these; and one object for all that have the same, who are many.
        self._traits: Counter[Traits] = Counter()
        self._shared: dict[Traits, Traits] = {}

    def __len__(self) -> int:
        return len(self._recent)

    @property
    def total(self) -> int:
        """How many are counted."""
        return len(self._recent) if self._befell is None else len(self._befell)

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
        before = self._recent.pop(user_id, None)
        traits = self._shared.setdefault(member.traits, member.traits)
        self._recent[user_id] = Member(member.at_us, traits)
        if self._befell is None or self._befell.add(user_id):
            self._traits[traits] += 1
        if self._befell is None and before is not None:
            self._no_longer(before.traits)

    def forget_before(self, now_us: int) -> None:
        """Lets go of those to whom it happened longer than a window ago."""
        old = []
        for user_id, member in self._recent.items():
            if member.at_us > now_us - self._window_us:
                break
            old.append(user_id)
        for user_id in old:
            member = self._recent.pop(user_id)
            if self._befell is None:
                self._no_longer(member.traits)

    def rage(self) -> None:
        """Whom it befalls from here on is counted beside those in the window."""
        if self._befell is None:
            self._befell = Distinct(self._recent)

    def calm(self) -> None:
        """Whoever leaves the window from here on is no longer counted."""
        if self._befell is not None:
            self._befell = None
            self._shared = {member.traits: member.traits for member in self._recent.values()}
            self._traits = Counter(member.traits for member in self._recent.values())

    def share(self, online: int) -> float:
        """Of the users that were online, as far as ``online`` tells who still is."""
        return len(self._recent) / max(1, len(self._recent) + online)

    def common(self) -> str:
        """``96% on SDK 2.28.0, 91% on Android``: what most of them share; empty where it is nothing."""
        shared = []
        for name, place in _TRAITS:
            of_kind: Counter[str] = Counter()
            for traits, count in self._traits.items():
                if value := traits[place]:
                    of_kind[value] += count
            if not of_kind:
                continue
            value, count = max(of_kind.items(), key=lambda one: one[1])
            share = count / max(1, self.total)
            if share > _WORTH_TELLING:
                shared.append(f"{share:.0%} on {f'{name} ' if name else ''}{value}")
        return ", ".join(shared)

    def _no_longer(self, traits: Traits) -> None:
        """One with these is counted no longer."""
        if self._traits[traits] == 1:
            del self._traits[traits], self._shared[traits]
        else:
            self._traits[traits] -= 1
