"""The command ``zimwatch``. Help and version are printed before any command is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command of ``sys.argv``, and exits."""
    words = sys.argv[1:]
    if words in (["-h"], ["--help"]):
        from sidecar.cli import overview  # noqa: PLC0415 - each word imports only what it needs

        print(overview.text())
    elif words == ["--version"]:
        from sidecar.version import build  # noqa: PLC0415 - same

        print(f"zimwatch {build()}")
    else:
        from sidecar.cli.commands import zimwatch  # noqa: PLC0415 - same

        zimwatch()
