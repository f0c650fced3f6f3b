"""The reporters as packages of their platforms: what of that can be tried here."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from sidecar.version import VERSION

PORTS = Path(__file__).parents[2] / "docs/ports"
APP = Path(__file__).parent / "ports/cpp"
CONSUMER = """
cmake_minimum_required(VERSION 3.16)
project(app LANGUAGES CXX)
{how}
add_executable(app {app}/app.cpp)
target_include_directories(app PRIVATE {app})
target_link_libraries(app PRIVATE zimwatch::reporter)
"""


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.cpp
@pytest.mark.cmake
def test_a_cmake_project_takes_the_headers_from_their_folder_and_from_an_install(tmp_path: Path) -> None:
    run("cmake", "-S", PORTS / "cpp", "-B", "reporter", folder=tmp_path)
    run("cmake", "--install", "reporter", "--prefix", tmp_path / "installed", folder=tmp_path)
    ways = {
        "folder": f"add_subdirectory({PORTS / 'cpp'} reporter)",
        "install": "find_package(zimwatch_reporter REQUIRED)",
    }
    for name, how in ways.items():
        app = tmp_path / name
        app.mkdir()
        (app / "CMakeLists.txt").write_text(CONSUMER.format(how=how, app=APP))
        run("cmake", "-S", app, "-B", app / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'installed'}", folder=app)
    run("cmake", "--build", tmp_path / "install/build", folder=tmp_path)
    assert (tmp_path / "install/build/app").exists()


@pytest.mark.node
def test_the_package_for_react_native_is_packed_and_imported(tmp_path: Path) -> None:
    run("npm", "pack", "--silent", "--offline", "--pack-destination", tmp_path, folder=PORTS / "react-native")
    (tmp_path / "package.json").write_text('{"private": true}')
    tarball = tmp_path / f"zimwatch-react-native-{VERSION}.tgz"
    run("npm", "install", "--offline", "--no-audit", "--no-fund", "--silent", tarball, folder=tmp_path)
    (tmp_path / "app.mjs").write_text('import { watch } from "zimwatch-react-native"; console.log(typeof watch);')
    assert run("node", "app.mjs", folder=tmp_path) == "function\n"


def test_the_layouts_are_those_that_the_platforms_expect() -> None:
    pub = yaml.safe_load((PORTS / "flutter/pubspec.yaml").read_text())
    assert (PORTS / f"flutter/lib/{pub['name']}.dart").exists()
    assert set(pub["dependencies"]) == {"flutter", "zego_zim"}
    swift = (PORTS / "ios/Package.swift").read_text()
    assert swift.startswith("// swift-tools-version:")
    for target in re.findall(r'\.target\(name: "(\w+)"', swift):
        assert list((PORTS / "ios/Sources" / target).glob("*.swift"))
    (namespace,) = re.findall(r"namespace '(.+)'", (PORTS / "android/build.gradle").read_text())
    for source in (PORTS / "android/src/main/java" / namespace.replace(".", "/")).glob("*.java"):
        assert source.read_text().startswith(f"package {namespace};")


def test_unity_knows_each_file_of_its_package_by_an_id_of_its_own() -> None:
    folder = PORTS / "unity"
    files = [path for path in folder.rglob("*") if path.suffix != ".meta"]
    ids = {re.findall("guid: ([0-9a-f]{32})", path.with_name(f"{path.name}.meta").read_text())[0] for path in files}
    assert len(ids) == len(files) == len(list(folder.rglob("*.meta")))
    assert json.loads((folder / "Runtime/Zimwatch.Reporter.asmdef").read_text())["noEngineReferences"] is True
