"""The npm package of the Web tap, as a project without a network installs it."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from sidecar.version import VERSION
from tests.support.npm_package import ROOT, TAP, pack, sbom

TSC = ROOT / "sidecar/sdk/node/node_modules/.bin/tsc"
MOST_BYTES = 20_000
USES = """
const kinds = [typeof install, typeof ZimTap.install, ZimTap === globalThis.ZimTap];
console.log(JSON.stringify(kinds));
"""
BOUND = "const { install } = ZimTap;"
PROGRAMS = {
    "by-import.mjs": f'import ZimTap, {{ install }} from "zimwatch-tap";{USES}',
    "by-require.cjs": f'const {{ ZimTap, install }} = require("zimwatch-tap");{USES}',
    "by-script.cjs": f'require("zimwatch-tap/zim-tap.js"); const {{ ZimTap }} = globalThis; {BOUND}{USES}',
}
TYPED = """
const options: TapOptions = { endpoint: "https://zimwatch.example.com", heartbeatSeconds: 15 };
// @ts-expect-error - the endpoint is required
const without: TapOptions = {};
export const used = [ZimTap.install, options, without];
"""

pytestmark = pytest.mark.node


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def project(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project that has installed it."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{"name": "app", "private": true}')
    run("npm", "install", "--offline", "--no-audit", "--no-fund", "--silent", tarball, folder=folder)
    return folder


def test_it_is_small_and_has_the_files_of_the_tap_alone(tarball: Path) -> None:
    assert tarball.name == f"zimwatch-tap-{VERSION}.tgz"
    assert tarball.stat().st_size < MOST_BYTES
    with tarfile.open(tarball) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
    wanted = {path.name for path in TAP.glob("zim-tap*")}
    assert names == wanted | {"package.json", "README.md", "LICENSE"}


def test_its_bill_of_materials_names_it_and_nothing_else() -> None:
    found = json.loads(sbom())
    assert (found["bomFormat"], found["components"]) == ("CycloneDX", [])
    described = found["metadata"]["component"]
    assert described["purl"] == f"pkg:npm/zimwatch-tap@{VERSION}"
    assert described["licenses"][0]["license"]["id"] == "Apache-2.0"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_project_imports_and_requires_it(name: str, project: Path) -> None:
    (project / name).write_text(PROGRAMS[name])
    assert json.loads(run("node", name, folder=project)) == ["function", "function", True]


def test_the_sdk_is_a_peer_that_is_not_fetched(project: Path) -> None:
    described = json.loads((project / "node_modules/zimwatch-tap/package.json").read_text())
    assert list(described["peerDependencies"]) == ["zego-zim-web"]
    assert "dependencies" not in described
    assert [path.name for path in (project / "node_modules").glob("[!.]*")] == ["zimwatch-tap"]


def test_typescript_finds_its_types_by_import_and_by_require(project: Path) -> None:
    (project / "module.mts").write_text(f'import {{ ZimTap, type TapOptions }} from "zimwatch-tap";{TYPED}')
    (project / "script.cts").write_text(f'import {{ ZimTap, type TapOptions }} from "zimwatch-tap";{TYPED}')
    options = ("--noEmit", "--strict", "--module", "nodenext", "--target", "es2022")
    assert run(TSC, *options, "module.mts", "script.cts", folder=project) == ""
