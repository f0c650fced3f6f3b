"""No regular expression of Zimwatch's can be made to backtrack for long, whatever text it is given.

Every pattern in the sources is taken apart by Python's own parser and held to a shape whose work is linear in the text:
what may repeat without end is one character of a set, and what comes behind it begins with none of that set, so that
there is one way alone to divide a text among the repeats.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

# Typeshed does not know what re itself is made of.
kinds: Any = importlib.import_module("re._constants")
parser: Any = importlib.import_module("re._parser")

ROOT: Final = Path(__file__).parents[2]
LONG: Final = 100
# Every character that our patterns distinguish is among these.
ALPHABET: Final = [chr(code) for code in range(256)] + ["\u3000", "é", "断"]
# Linear for a reason that the judge cannot see.
REVIEWED: Final = {
    r"^(?=\S*$)https?://.*\{trace_id\}": "one repeat, which gives back until the last place of its literal",
    r"(<time [^<>]*data-ago>)[^<]*": "gives back to its own < at most, and no other search begins on the way",
    r'(<[a-z][^<>]*?\s(?:href|src|action|formaction|hx-sse:connect)=")(?=/(?!/))': (
        "stays within the tag that it began with, behind whose < no other search begins before the next <"
    ),
    r"^(https?://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*/?)?\Z": (
        "each part of the path begins with a slash, and has none"
    ),
}


def patterns() -> Iterator[tuple[str, str]]:
    """The location of each pattern in the sources, and its text."""
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for given in patterns_of(node):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", given


@cache
def sources() -> list[tuple[Path, ast.Module]]:
    files = (path for folder in ("sidecar", "dashboard") for path in sorted((ROOT / folder).rglob("*.py")))
    return [(path, ast.parse(path.read_text("utf-8"))) for path in files if "node_modules" not in path.parts]


@cache
def shared() -> dict[str, str]:
    """By name: the patterns that have one of their own, NAME_PATTERN, because several places use them."""
    found = [
        (node.target.id, str(node.value.value))
        for _, tree in sources()
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
        if node.target.id.endswith("_PATTERN")
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def patterns_of(call: ast.Call) -> Iterator[str]:
    called = ast.unparse(call.func)
    given = [one.value for one in call.keywords if one.arg == "pattern"]
    if called.startswith("re.") and called != "re.escape":
        given += call.args[:1]
    for one in given:
        yield text_of(one)


def text_of(node: ast.expr) -> str:
    """A literal. What is put into one is another pattern, which is looked at by itself."""
    if isinstance(node, ast.Constant):
        text = node.value
        return text.decode("latin-1") if isinstance(text, bytes) else str(text)
    if isinstance(node, ast.Attribute) and node.attr in shared():
        return shared()[node.attr]
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "x" for one in node.values)
    pytest.fail(f"a pattern that is made at run time cannot be judged: {ast.unparse(node)}")


def matched(item: tuple[Any, Any]) -> set[str]:
    """The characters of ALPHABET that ``item``, which takes one character, takes."""
    return {one for one in ALPHABET if takes(item, one)}


def takes(item: tuple[Any, Any], character: str) -> bool:
    kind, value = item
    if kind is kinds.LITERAL:
        return bool(ord(character) == value)
    if kind is kinds.NOT_LITERAL:
        return bool(ord(character) != value)
    if kind is kinds.ANY:
        return character != "\n"
    if kind is kinds.RANGE:
        return bool(value[0] <= ord(character) <= value[1])
    if kind is kinds.CATEGORY:
        return category(value, character)
    assert kind is kinds.IN, f"no single character: {kind}"
    is_in = any(takes(one, character) for one in value if one[0] is not kinds.NEGATE)
    return bool(is_in != (value[0][0] is kinds.NEGATE))


def category(value: Any, character: str) -> bool:
    name = str(value).removeprefix("CATEGORY_")
    is_not = name.startswith("NOT_")
    known = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[name.removeprefix("NOT_")]
    return bool(re.fullmatch(known, character)) != is_not


def first(items: list[tuple[Any, Any]], after: set[str] | None) -> set[str] | None:
    """The characters that may come next; None where it may be none at all (the end of the pattern)."""
    found: set[str] = set()
    for place, (kind, value) in enumerate(items):
        if kind in {kinds.AT, kinds.ASSERT, kinds.ASSERT_NOT}:
            continue
        if kind is kinds.SUBPATTERN:
            return union(found, first([*value[3], *items[place + 1 :]], after))
        if kind is kinds.BRANCH:
            rest = items[place + 1 :]
            for branch in value[1]:
                found |= first([*branch, *rest], after) or set()
            return found
        if kind in {kinds.MAX_REPEAT, kinds.MIN_REPEAT}:
            low, _high, repeated = value
            found |= first(list(repeated), set()) or set()
            if low:
                return found
            continue
        return found | matched((kind, value))
    return union(found, after)


def union(found: set[str], more: set[str] | None) -> set[str]:
    return found | (more or set())


def problems(items: list[tuple[Any, Any]], after: set[str] | None = None) -> Iterator[str]:
    """What is wrong with a run of a pattern that ``after`` follows."""
    for place, (kind, value) in enumerate(items):
        rest = items[place + 1 :]
        behind = first(rest, after)
        if kind is kinds.SUBPATTERN:
            yield from problems(list(value[3]), behind)
        elif kind is kinds.BRANCH:
            for branch in value[1]:
                yield from problems(list(branch), behind)
        elif kind in {kinds.ASSERT, kinds.ASSERT_NOT}:
            yield from problems(list(value[1]))
        elif kind in {kinds.MAX_REPEAT, kinds.MIN_REPEAT}:
            yield from problems_of_repeat(value[1], list(value[2]), behind or set())


def problems_of_repeat(most: int, repeated: list[tuple[Any, Any]], behind: set[str]) -> Iterator[str]:
    begins = first(repeated, set()) or set()
    if most <= LONG:  # a short text has few ways
        yield from problems(repeated, behind)
    elif begins & behind:
        yield "what repeats without end may begin as what follows does"
    elif len(repeated) > 1 or repeated[0][0] in {kinds.SUBPATTERN, kinds.BRANCH}:
        yield from problems(repeated, begins | behind)


@pytest.mark.parametrize(("where", "pattern"), [pytest.param(*one, id=one[0]) for one in patterns()])
def test_no_pattern_can_divide_a_text_in_more_ways_than_one(where: str, pattern: str) -> None:
    if pattern in REVIEWED:
        return
    assert not list(problems(list(parser.parse(pattern)))), f"{where}: {pattern}"


@pytest.mark.parametrize(
    "pattern",
    [
        r"silence\s+(.+?)\s+([0-9]+(s|m))\s+(because\s+)?(.+)",
        r"(a+)+$",
        r"(a|ab)*(bc)?a*$",
        r"x*x*y",
        r"^[^/\s]+[^\s]*$",
        r"<time [^>]*data-ago>",
    ],
)
def test_the_check_finds_a_pattern_that_backtracks(pattern: str) -> None:
    assert list(problems(list(parser.parse(pattern))))
