"""``sbom.py FOLDER``: print what is in an image that was pushed to a folder, as CycloneDX: of Debian and of Python."""

from __future__ import annotations

import json
import re
import sys
import tarfile
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

DEBIAN = "var/lib/dpkg/status"
PYTHON = re.compile(r"/site-packages/[^/]+\.dist-info/METADATA")


def bill(folder: Path) -> dict[str, Any]:
    """The document. It says the same of the same image."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    config = json.loads(_blob(folder, manifest["config"]).read_bytes())
    packages = {package["purl"]: package for layer in manifest["layers"] for package in _packages(_blob(folder, layer))}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": config["created"],
            "component": {"type": "container", "name": "zimwatch", "version": manifest["config"]["digest"]},
        },
        "components": [packages[purl] for purl in sorted(packages)],
    }


def _blob(folder: Path, described: dict[str, Any]) -> Path:
    return folder / str(described["digest"]).removeprefix("sha256:")


def _packages(layer: Path) -> Iterator[dict[str, Any]]:
    with tarfile.open(layer, "r|*") as files:
        for file in files:
            if file.name.removeprefix("./") == DEBIAN:
                for paragraph in _text(files, file).strip().split("\n\n"):
                    yield _debian(HeaderParser().parsestr(paragraph))
            elif PYTHON.search(file.name):
                yield _python(HeaderParser().parsestr(_text(files, file)))


def _text(files: tarfile.TarFile, file: tarfile.TarInfo) -> str:
    content = files.extractfile(file)
    return content.read().decode() if content else ""


def _debian(headers: Message) -> dict[str, Any]:
    name, version, architecture = headers["Package"], headers["Version"], headers["Architecture"]
    return _component(name, version, f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}")


def _python(headers: Message) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", headers["Name"]).lower()
    component = _component(name, headers["Version"], f"pkg:pypi/{name}@{quote(headers['Version'], safe='')}")
    if expression := headers["License-Expression"]:
        component["licenses"] = [{"expression": expression}]
    elif (licence := headers["License"]) and "\n" not in licence:
        component["licenses"] = [{"license": {"name": licence}}]
    return component


def _component(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


if __name__ == "__main__":
    print(json.dumps(bill(Path(sys.argv[1])), indent=1))
