"""One-time codes by time (TOTP, https://www.rfc-editor.org/rfc/rfc6238) and the recovery codes beside them."""

from __future__ import annotations

import secrets  # noqa: TID251 - they are secrets
from typing import Final

import pyotp

from sidecar.domain.units import SECOND_US
from sidecar.store.access.second_factor import RECOVERY_CODES

_STEP_S: Final = 30
_DIGITS: Final = 6
_ISSUER: Final = "Zimwatch"
# A device's clock may be off by one step.
_STEPS_BESIDE: Final = (0, -1, 1)
# Without letters and digits that look alike.
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_RECOVERY_CHARACTERS: Final = 16
CODE_CHARACTERS: Final = 40
"""Longer input is no code."""


def new_secret() -> str:
    """A secret, 160 bits in base 32."""
    return pyotp.random_base32()


def address(secret: str, name: str) -> str:
    """What an authenticator reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=_ISSUER)


def step_of(secret: str, code: str, now_us: int) -> int | None:
    """The step whose code it is, now or one beside; None where it is none of these."""
    given = "".join(code.split())
    if len(given) != _DIGITS or not given.isascii():
        return None
    now = now_us // SECOND_US // _STEP_S
    totp = pyotp.TOTP(secret)
    found = [now + by for by in _STEPS_BESIDE if secrets.compare_digest(totp.generate_otp(now + by), given)]
    return max(found, default=None)


def is_secret(text: str) -> bool:
    """Whether it has the form of a secret that was made here."""
    return len(text) == len(new_secret()) and set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


def new_recovery_codes() -> list[str]:
    """Codes for when the device is lost, with 79 random bits each, in their normal form."""
    return ["".join(secrets.choice(_ALPHABET) for _ in range(_RECOVERY_CHARACTERS)) for _ in range(RECOVERY_CODES)]


def readable(recovery_code: str) -> str:
    """In groups of four."""
    return "-".join(recovery_code[at : at + 4] for at in range(0, len(recovery_code), 4))


def normal_recovery_code(text: str) -> str:
    """As it was made, however it is typed."""
    return "".join(one for one in text.casefold() if one.isalnum())
