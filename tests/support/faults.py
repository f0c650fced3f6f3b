"""Small faults in the source of a module, one a mutant."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
_OPERATORS: Final = (
    "Lt>LtE Lt>GtE LtE>Lt LtE>Gt Gt>GtE Gt>LtE GtE>Gt GtE>Lt Eq>NotEq NotEq>Eq Is>IsNot IsNot>Is In>NotIn NotIn>In "
    "Add>Sub Sub>Add Mult>FloorDiv FloorDiv>Mult Div>Mult Mod>Mult And>Or Or>And"
)
_FUNCTIONS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Fields that hold types, or what a class or a function is declared with.
_NO_CODE: Final = {"annotation", "returns", "decorator_list", "bases"}


class Mutant(NamedTuple):
    """A module, and its source with one fault."""

    module: str
    path: Path
    source: str

    def diff(self) -> str:
        """From the module as it is."""
        name = str(self.path.relative_to(ROOT))
        before, after = self.path.read_text().splitlines(), self.source.splitlines()
        return "\n".join(difflib.unified_diff(before, after, name, name, n=2, lineterm=""))


def _instead_of(operator: ast.AST) -> list[Any]:
    pairs = [one.split(">") for one in _OPERATORS.split()]
    return [getattr(ast, other)() for own, other in pairs if own == type(operator).__name__]


def _faults(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901, PLR0912 - a case each
    """What may stand in the place of ``node``."""
    match node:
        case ast.Compare():
            for at, operator in enumerate(node.ops):
                for other in _instead_of(operator):
                    yield ast.Compare(node.left, [*node.ops[:at], other, *node.ops[at + 1 :]], node.comparators)
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign():
            for other in _instead_of(node.op):
                yield type(node)(**dict(ast.iter_fields(node)) | {"op": other})
        case ast.UnaryOp(ast.Not()):
            yield node.operand
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Call(ast.Name(name)) if name in _FUNCTIONS:
            yield ast.Call(ast.Name(_FUNCTIONS[name]), node.args, node.keywords)
        case ast.Slice():
            if node.lower is not None:
                yield ast.Slice(None, node.upper, node.step)
            if node.upper is not None:
                yield ast.Slice(node.lower, None, node.step)
        case ast.IfExp():
            yield ast.IfExp(node.test, node.orelse, node.body)
        case ast.Return(ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call()) | ast.Raise():
            yield ast.Pass()


def _places(node: ast.AST, within: ast.expr | None = None) -> Iterator[tuple[Any, str]]:
    """Each node with a fault, and its new source; for a part of an f-string, all of that."""
    for field, value in ast.iter_fields(node):
        if field in _NO_CODE or (field == "keywords" and isinstance(node, ast.ClassDef)):
            continue
        children = value if isinstance(value, list) else [value]
        for at, child in enumerate(children):
            if not isinstance(child, ast.AST):
                continue
            whole = within or (child if isinstance(child, ast.JoinedStr) else None)
            faults = list(_faults(child))
            if isinstance(node, ast.If) and isinstance(child, ast.Name | ast.Attribute | ast.Call | ast.NamedExpr):
                faults.append(ast.UnaryOp(ast.Not(), child))
            for fault in faults:
                if whole is None:
                    yield child, f"({ast.unparse(fault)})" if isinstance(child, ast.UnaryOp) else ast.unparse(fault)
                else:
                    setattr(node, field, [*children[:at], fault, *children[at + 1 :]] if value is children else fault)
                    yield whole, ast.unparse(whole)
                    setattr(node, field, value)
            yield from _places(child, whole)


def mutants_of(module: str, path: Path) -> Iterator[Mutant]:
    """All of them, in the order of the source."""
    lines = path.read_bytes().splitlines(keepends=True)
    for spot, text in _places(ast.parse(path.read_bytes())):
        before = [*lines[: spot.lineno - 1], lines[spot.lineno - 1][: spot.col_offset]]
        after = [lines[spot.end_lineno - 1][spot.end_col_offset :], *lines[spot.end_lineno :]]
        yield Mutant(module, path, b"".join([*before, text.encode(), *after]).decode())
