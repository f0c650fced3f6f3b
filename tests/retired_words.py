"""``python -m tests.retired_words``: names each place of a word that readers had to read twice; exits 1 for any.

The list only keeps the worst out; whether a sentence is clear is for its reader to judge.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
ENDINGS: Final = {
    ".cjs",
    ".cpp",
    ".cs",
    ".css",
    ".dart",
    ".h",
    ".hpp",
    ".html",
    ".java",
    ".js",
    ".json",
    ".md",
    ".mjs",
    ".mts",
    ".po",
    ".py",
    ".swift",
    ".toml",
    ".ts",
    ".yaml",
    ".yml",
}
# Files of others, and this list.
LEFT_OUT: Final = ("dashboard/static/htmx-", "dashboard/static/hx-sse-", "package-lock.json", "tests/retired_words.py")
WORDS: Final = (
    *("anew", "befell", "rages", "minds", "whomever", "goes on", "go on", "heard of", "lets go"),
    *("told of", "tells of", "is told", "are told", "is asked", "are asked"),
)
RETIRED: Final = re.compile(rf"\b(?:{'|'.join(WORDS)})\b".replace(" ", r"\s+"), re.IGNORECASE)


def files() -> list[Path]:
    """The project's own texts, as git has them."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [
        ROOT / name
        for name in listed.splitlines()
        if Path(name).suffix in ENDINGS and not any(part in name for part in LEFT_OUT) and (ROOT / name).exists()
    ]


def places(path: Path) -> list[str]:
    """``file:line: word`` for each retired word of a file."""
    text = path.read_text(encoding="utf-8")
    return [
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for match in RETIRED.finditer(text)
    ]


def main() -> int:
    """Prints the places; 1 if there is any."""
    found = [place for path in files() for place in places(path)]
    sys.stdout.writelines(f"{place}\n" for place in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
