"""Writes the kinds of findings into ``docs/findings.md``, as the code has them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar.domain.findings import CHECKS, Check

DOCUMENT: Final = Path(__file__).parents[1] / "docs/findings.md"
MARK: Final = "<!-- The rest is written by `make schemas` from sidecar/domain/findings. -->\n"


def _kind(check: type[Check]) -> str:
    advice = "\n".join(f"- {one.template}" for one in check.advice)
    return (
        f"\n## `{check.kind}`\n\n"
        f"{check.title.template}: **{check.severity}** at most.\n\n"
        f"| | |\n|---|---|\n"
        f"| evidence | {check.evidence.template} |\n"
        f"| threshold | {check.threshold.template} |\n"
        f"| holds | {check.lifetime.template} |\n"
        f"| source | <{check.source}> |\n\n"
        f"> {check.say.template}\n\n"
        f"{advice}\n"
    )


def updated(text: str) -> str:
    """The document with the kinds of :data:`CHECKS`, in that order; ValueError without the mark before them."""
    before = text[: text.index(MARK)]
    return before + MARK + "".join(map(_kind, CHECKS))


if __name__ == "__main__":
    DOCUMENT.write_text(updated(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
