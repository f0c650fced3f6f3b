"""``same_config.py FOLDER``: make an image that buildah pushed to a folder the same for each build; print its digest.

In Docker's format, which has the health check, buildah names the container that it built in.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path


def settle(folder: Path) -> str:
    """The digest of the manifest, after the configuration lost what is random."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    old = folder / manifest["config"]["digest"].removeprefix("sha256:")
    config = json.loads(old.read_bytes())
    for name in ("container", "container_config"):
        config.pop(name, None)
    config["config"]["Hostname"] = ""
    old.unlink()
    content = json.dumps(config, sort_keys=True).encode()
    (folder / hashlib.sha256(content).hexdigest()).write_bytes(content)
    manifest["config"] |= {"digest": _digest(content), "size": len(content)}
    content = json.dumps(manifest, sort_keys=True).encode()
    (folder / "manifest.json").write_bytes(content)
    return _digest(content)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


if __name__ == "__main__":
    print(settle(Path(sys.argv[1])))
