"""A cell of an export is text to every spreadsheet, whatever the user id."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.parts.export_formats import cell

FORMULA = "=+-@＝＋－＠﹦﹢﹣﹫"  # noqa: RUF001 - other widths are meant


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "\n=1+1",
        " \u200b\t@SUM(1)",
        "＝cmd",  # noqa: RUF001
        "＋1",  # noqa: RUF001
        "﹦1+1",
        "\ufeff-2",
        "a;=1+1",
        "a;\n ＠x",  # noqa: RUF001
        'a";"=1+1',
        "a\t+1",
        "a\r\n=1",
    ],
)
def test_a_formula_is_not_run_however_it_begins(text: str) -> None:
    text_of_cell = str(cell(text))
    assert text_of_cell.replace("'", "") == text.replace("'", "")
    for part in re.split(r"[;\t\r\n]", text_of_cell):
        assert not part.lstrip("\"' \u200b\ufeff").startswith(tuple(FORMULA)) or part.startswith("'")


@given(st.text(alphabet=[*FORMULA, *";\t\r\n \"'ab,\u200b\u202e"], max_size=12))
def test_no_part_of_a_cell_begins_a_formula(text: str) -> None:
    written = io.StringIO()
    csv.writer(written).writerow([cell(text)])
    for part in re.split(r"[;\t\r\n]", str(cell(text))):
        begun = "".join(sign for sign in part if sign.isprintable() and not sign.isspace()).lstrip('"')
        assert not begun.startswith(tuple(FORMULA))


@pytest.mark.parametrize("value", ["alice", "a-b", "bob@example.com", "x, -y", "", 12, -3, None, True])
def test_what_begins_no_formula_stays_as_it_is(value: object) -> None:
    assert cell(value) == value


def test_a_cell_is_gone_through_once() -> None:
    count = 0

    class Counted(str):
        __slots__ = ()

        def __iter__(self) -> Iterator[str]:
            nonlocal count
            for sign in str.__iter__(self):
                count += 1
                yield sign

    assert len(str(cell(Counted(";=" * 5_000)))) == 15_000
    assert count == 10_000
