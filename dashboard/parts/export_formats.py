"""The formats of exports: to add one, add it here. Each is a stream of bytes, in bounded memory."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import msgspec
from aiohttp import web

from dashboard.parts.user_columns import COLUMNS
from dashboard.text.language import gettext as _

# A spreadsheet evaluates a cell that begins with one of these (CWE-1236); the full-width forms count too.
_FORMULA: Final = frozenset("=+-@＝＋－＠﹦﹢﹣﹫")
# Where a spreadsheet may split a cell, if it does not keep to the comma.
_SPLITS: Final = frozenset(";\t\r\n")

Encode = Callable[[AsyncIterator[list[dict[str, Any]]], str], AsyncIterator[bytes]]
"""Rows as bytes; with what the rows are, in the plural."""


class ExportFormat(msgspec.Struct, frozen=True):
    """``ending`` of the address; ``package`` is one that the format needs, of the extra named as the ending."""

    title: str
    ending: str
    media_type: str
    encode: Encode
    package: str | None = None

    @property
    def is_installed(self) -> bool:
        """Whether its package is there: a browser shows nothing when a download fails."""
        return self.package is None or find_spec(self.package) is not None


async def _csv(pages: AsyncIterator[list[dict[str, Any]]], _noun: str) -> AsyncIterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    named = False
    async for rows in pages:
        if not named:
            writer.writerow(cell(name) for name in rows[0])
            named = True
        writer.writerows([cell(value) for value in row.values()] for row in rows)
        yield text.getvalue().encode(errors="replace")
        text.seek(0)
        text.truncate()


def cell(value: object) -> object:
    """A value as a cell that no spreadsheet evaluates: a ``'`` precedes each character that could begin a formula.

    Spaces, quotes and invisible characters before it are skipped; each part that the cell may be split into counts.
    """
    if not isinstance(value, str):
        return value
    signs: list[str] = []
    part, begins = 0, True
    for sign in value:
        if begins and sign in _FORMULA:
            signs.insert(part, "'")
        signs.append(sign)
        if sign in _SPLITS:
            part, begins = len(signs), True
        elif begins:
            begins = sign.isspace() or sign in "\"'" or not sign.isprintable()
    text = "".join(signs)
    return f"'{text}" if text.startswith(("\t", "\r", "\n")) else text


async def _json(pages: AsyncIterator[list[dict[str, Any]]], noun: str) -> AsyncIterator[bytes]:
    before = b'{"%s":[\n' % noun.encode()
    async for rows in pages:
        for row in rows:
            yield before + msgspec.json.encode(row)
            before = b",\n"
    yield (b"" if before.startswith(b",") else before) + b"\n]}\n"


def _parquet(pages: AsyncIterator[list[dict[str, Any]]], _noun: str) -> AsyncIterator[bytes]:
    """HTTP 501 without pyarrow, which is an extra."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise web.HTTPNotImplemented(text=_("Parquet needs pyarrow: install the extra zimwatch[parquet]")) from None
    schema = pa.schema([(column.name, getattr(pa, column.type)()) for column in COLUMNS if column.type])
    return _row_groups(pages, schema, pa, parquet)


async def _row_groups(
    pages: AsyncIterator[list[dict[str, Any]]],
    schema: Any,  # noqa: ANN401 - pyarrow has no types
    pa: Any,  # noqa: ANN401
    parquet: Any,  # noqa: ANN401
) -> AsyncIterator[bytes]:
    sink = _Sink()
    writer = parquet.ParquetWriter(sink, schema)
    async for rows in pages:
        writer.write_table(pa.Table.from_pylist(_utf8(rows), schema=schema))
        yield sink.taken()
    writer.close()
    yield sink.taken()


def _utf8(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            key: value.encode(errors="replace").decode() if isinstance(value, str) else value
            for key, value in row.items()
        }
        for row in rows
    ]


class _Sink(io.RawIOBase):
    """A write-only file; :meth:`taken` removes what was written."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        size = len(memoryview(data).cast("B"))
        self._held += data
        self._written += size
        return size

    def taken(self) -> bytes:
        """The bytes written since the last call."""
        taken, self._held = bytes(self._held), bytearray()
        return taken


FORMATS: Final = (
    ExportFormat("CSV", "csv", "text/csv; charset=utf-8", _csv),
    ExportFormat("JSON", "json", "application/json", _json),
    ExportFormat("Parquet", "parquet", "application/vnd.apache.parquet", _parquet, package="pyarrow"),
)
