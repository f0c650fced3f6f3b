"""Mutation test of the pure modules: which small faults in them their tests do not notice.

Takes a random sample of mutants, each one fault in one module, and runs the tests of its room that are named after the
module or, where there are none, cheap ones that import it. The checkout is never changed: a mutant lives in a process
forked from a pytest that has collected the tests. Prints the survivors as unified diffs, and the share killed; exits 1
where that is too low.
"""

from __future__ import annotations

import argparse
import ast
import importlib.machinery
import io
import os
import random
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cache
from importlib.util import spec_from_file_location
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Final

import hypothesis
import pytest

from tests.support.faults import ROOT, Mutant, mutants_of

LEAST: Final = 0.95
# Folders of tests that start servers, browsers or other programs; what a test imports that opens a database.
_DEAR: Final = {"attacks", "browser", "conformance", "soak"}
_OPENS: Final = {"sqlalchemy", "sidecar.app", "sidecar.store.Store"}
# Three times the processor time of the tests without a fault, and this: what takes longer is an endless loop.
_SPARE_S: Final = 10
_MEMORY_BYTES: Final = 4 << 30
_REPEATED: Final = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis is imported, and pytest may run once more
_PYTEST: Final = ("-qxs", "-W", _REPEATED, "-p", "no:cacheprovider", "--hypothesis-profile", "mutants")


def pure_modules() -> Iterator[tuple[str, Path]]:
    """The domain, and every module whose docstring has the sentence "Pure."."""
    for path in sorted(path for top in ("dashboard", "sidecar") for path in (ROOT / top).rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
        if (ROOT / "sidecar/domain") in path.parents or re.search(r"\bPure\.", docstring):
            named = path.parent if path.stem == "__init__" else path.with_suffix("")
            yield ".".join(named.relative_to(ROOT).parts), path


@cache
def tests_of(module: str) -> list[str]:
    """The files of tests of its room that are named after it; where there is none, cheap ones that import it."""
    room = module.replace("sidecar.", "").partition(".")[0]
    named = [str(path) for path in (ROOT / "tests" / room).rglob(f"test_{module.rpartition('.')[2]}.py")]
    return named or [str(path) for path, reached in _cheap_tests().items() if module in reached]


@cache
def _cheap_tests() -> dict[Path, frozenset[str]]:
    """Those that open no database and start no program, with what each imports, also by tests/support."""
    support = {f"tests.support.{path.stem}": _imported(path) for path in (ROOT / "tests/support").glob("*.py")}
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        reached = _imported(path)
        while more := frozenset().union(*(support.get(name, frozenset()) for name in reached)) - reached:
            reached |= more
        if path.relative_to(ROOT).parts[1] not in _DEAR and not reached & _OPENS:
            found[path] = reached
    return found


def _imported(path: Path) -> frozenset[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    whole = {one.name for node in nodes if isinstance(node, ast.Import) for one in node.names}
    parts = [(node.module or "", node.names) for node in nodes if isinstance(node, ast.ImportFrom)]
    return frozenset(
        whole | {name for name, _ in parts} | {f"{name}.{one.name}" for name, many in parts for one in many}
    )


class _Hook(importlib.machinery.SourceFileLoader):
    """Finds and compiles the mutant where its module is imported."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(mutant.path))
        self._source = mutant.source

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, _name: str) -> CodeType:
        return compile(self._source, self.path, "exec")


def _import_again(mutant: Mutant) -> int:
    """Runs the tests on the mutant in a pytest of their own, where nothing of ours is imported yet."""
    for name in [name for name in sys.modules if name.startswith(("sidecar", "dashboard", "tests"))]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Hook(mutant))
    return pytest.main([*_PYTEST, *tests_of(mutant.module)])


def _functions(owner: object, module: str) -> Iterator[tuple[str, FunctionType]]:
    """The functions and methods that are defined there, by their qualified names."""
    for value in list(vars(owner).values()):
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        function = getattr(function, "__wrapped__", function)
        if getattr(function, "__module__", None) != module:
            continue
        if isinstance(function, FunctionType):
            yield function.__qualname__, function
        elif isinstance(function, type):
            yield from _functions(function, module)


def _exchange(code: CodeType, functions: dict[str, FunctionType]) -> None:
    """Gives the functions the code that they have in ``code``."""
    for inner in (one for one in code.co_consts if isinstance(one, CodeType)):
        if function := functions.get(inner.co_qualname):
            function.__code__ = inner
        else:
            _exchange(inner, functions)


def _run(items: list[pytest.Item]) -> int:
    for item, following in zip_longest(items, items[1:]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return 1
    return 0


class Survivors:
    """A plugin of pytest that gives mutants to the tests that it has collected."""

    def __init__(self, sample: list[Mutant]) -> None:
        self._left = [one for one in sample if tests_of(one.module)]
        self._items: dict[str, list[pytest.Item]] = {}
        self._limits: dict[str, int] = {}
        self.found: list[Mutant] = []
        for mutant in sample:
            if not tests_of(mutant.module):
                self._survived(mutant)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of running each test once."""
        for item in session.items:
            self._items.setdefault(str(item.path), []).append(item)
        for mutant in {one.module: one for one in self._left}.values():
            self._try_without_a_fault(mutant._replace(source=mutant.path.read_text()))
        running: dict[int, tuple[Mutant, bool]] = {}
        again: list[Mutant] = []
        while self._left or again or running:
            while (self._left or again) and len(running) < (os.cpu_count() or 1):
                mutant, fresh = (again.pop(), True) if again else (self._left.pop(), False)
                running[self._start(mutant, _import_again if fresh else self._exchanged)] = mutant, fresh
            child, status = os.wait()
            mutant, fresh = running.pop(child)
            if status == 0 and fresh:
                self._survived(mutant)
            elif status == 0:
                again.append(mutant)
        return True

    def _survived(self, mutant: Mutant) -> None:
        self.found.append(mutant)
        print(mutant.diff(), end="\n\n", file=sys.__stdout__, flush=True)

    def _try_without_a_fault(self, module: Mutant) -> None:
        used_s = 0.0
        self._limits[module.module] = 600
        for run in (self._exchanged, _import_again):
            _, status, used = os.wait4(self._start(module, run), 0)
            if status:
                raise RuntimeError(f"{module.module} fails its tests without a fault: {tests_of(module.module)}")
            used_s = max(used_s, used.ru_utime)
        self._limits[module.module] = _SPARE_S + round(3 * used_s)

    def _exchanged(self, mutant: Mutant) -> int:
        """Runs the tests with the code of the mutant's functions."""
        module = sys.modules[mutant.module]
        _exchange(compile(mutant.source, mutant.path, "exec"), dict(_functions(module, mutant.module)))
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()
        return _run([item for path in tests_of(mutant.module) for item in self._items[path]])

    def _start(self, mutant: Mutant, run: Callable[[Mutant], int]) -> int:
        """The process that runs the tests; its exit status is 0 where they pass, or could not be run."""
        if child := os.fork():
            return child
        limit_s = self._limits[mutant.module]
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        signal.alarm(10 * limit_s)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        status = 0
        try:
            status = run(mutant)
        finally:
            os._exit(status)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--module", default="", help="only of modules whose names contain this")
    options = parser.parse_args()
    every = [mutant for one in pure_modules() if options.module in one[0] for mutant in mutants_of(*one)]
    if not every or options.count < 1:
        parser.error("no mutant: --count is at least 1, and --module a part of a name")
    sample = random.Random(options.seed).sample(every, min(options.count, len(every)))  # noqa: S311 - no secret
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile("mutants", deadline=None, derandomize=True, phases=phases)
    survivors = Survivors(sample)
    with redirect_stdout(io.StringIO()) as output:
        tests = {test for one in sample for test in tests_of(one.module)}
        status = pytest.main([*_PYTEST, *tests], [survivors]) if tests else pytest.ExitCode.OK
    if status != pytest.ExitCode.OK:
        print(output.getvalue())
        return 2
    killed = len(sample) - len(survivors.found)
    print(f"{killed} of {len(sample)} mutants killed ({killed / len(sample):.0%}); there are {len(every)}.")
    return int(killed / len(sample) < LEAST)


if __name__ == "__main__":
    sys.exit(main())
