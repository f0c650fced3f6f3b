"""The apps that run the reporters of ``docs/ports``, with a fake SDK: how each is built and started."""

from __future__ import annotations

from pathlib import Path

import msgspec

HERE = Path(__file__).parent / "ports"
DOCS = Path(__file__).parents[2] / "docs/ports"
ANDROID_JSON = "/usr/share/java/json-android.jar"
KICKED = '{"message":"断线 🙂 \ufffd"}'


class Port(msgspec.Struct, frozen=True):
    """How an app is built and started in a folder, and the values in which its SDK differs."""

    build: list[list[str]]
    start: list[str]
    platform: str
    sdk: str
    reporter: str
    unknown: tuple[str, str] = ("7", "9")
    kicked: str = KICKED


def sources(folder: Path, ending: str) -> list[str]:
    return [str(path) for path in sorted(folder.rglob(f"*{ending}"))]


PORTS = {
    "cpp": Port(
        build=[
            [
                "g++",
                "-std=c++17",
                *("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-pthread"),
            ],
            [f"-I{HERE / 'cpp'}", f"-I{DOCS / 'cpp/include'}", str(HERE / "cpp/app.cpp"), "-o", "app"],
        ],
        start=["./app"],
        platform="Linux",
        sdk="zim-cpp",
        reporter="zimwatch-cpp",
        kicked=KICKED.replace("\ufffd", "\ufffd\ufffd\ufffd"),  # a lone surrogate is three bytes of invalid UTF-8
    ),
    "java": Port(
        build=[
            ["javac", "-encoding", "UTF-8", "-source", "8", "-target", "8", "-Xlint:all,-options", "-Werror"],
            ["-cp", ANDROID_JSON, "-d", ".", *sources(HERE / "android", ".java"), *sources(DOCS / "android", ".java")],
        ],
        start=["java", "-Dfile.encoding=UTF-8", "-cp", f".:{ANDROID_JSON}", "App"],
        platform="Android",
        sdk="zim-android",
        reporter="zimwatch-android",
        unknown=("HIBERNATING", "UNREGISTERED"),
        kicked=KICKED.replace("\ufffd", "?"),  # how Java encodes a lone surrogate
    ),
    "csharp": Port(
        build=[
            ["mcs", "-langversion:7.2", "-warn:4", "-warnaserror", "-out:App.exe"],
            [*sources(HERE / "unity", ".cs"), *sources(DOCS / "unity", ".cs")],
        ],
        start=["mono", "App.exe"],
        platform="Win",
        sdk="zim-unity",
        reporter="zimwatch-unity",
    ),
    "node": Port(
        build=[["cp", str(HERE / "react-native/app.mjs"), "."]],
        start=["node", "app.mjs"],
        platform="Android",
        sdk="zego-zim-react-native",
        reporter="zimwatch-react-native",
    ),
}
# Node.js recognises a module by its extension; bundlers of React Native do not need it.
REPORTER = (DOCS / "react-native/zimwatch-reporter.js", "zimwatch-reporter.mjs")
