"""``python -m sidecar`` is the command ``zimwatch``."""

from __future__ import annotations

from sidecar.cli import main

if __name__ == "__main__":
    main()
