"""docs/scaling.md says how each table is spread, by the keys that it has."""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa

import sidecar.alerting  # noqa: F401 - its tables
from sidecar.store.schema import metadata

TEXT = (Path(__file__).parents[2] / "docs/scaling.md").read_text()
ROWS = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*?) \|", TEXT, re.MULTILINE)
TABLES = {name: said for names, said in ROWS for name in re.findall(r"`(\w+)`", names)}


def unique_keys(table: sa.Table) -> list[set[str]]:
    keys = [one for one in table.constraints if isinstance(one, sa.PrimaryKeyConstraint | sa.UniqueConstraint)]
    indexes = [one for one in table.indexes if one.unique]
    return [{column.name for column in one.columns} for one in (*keys, *indexes)]


def test_every_table_is_said_to_be_spread_or_why_it_is_not() -> None:
    assert sorted(TABLES) == sorted(metadata.tables)


def test_a_table_is_spread_by_a_column_of_each_of_its_unique_keys() -> None:
    found = re.findall(r"create_distributed_table\('(\w+)', '(\w+)'\)", TEXT)
    assert found
    for table, column in found:
        assert "create_distributed_table" in TABLES[table]
        assert all(column in key for key in unique_keys(metadata.tables[table])), table


def test_what_is_said_to_stand_in_the_way_does() -> None:
    found = {name: said for name, said in TABLES.items() if (said.startswith("the key is"))}
    assert found
    for name, said in found.items():
        table = metadata.tables[name]
        (key,) = re.findall(r"^the key is `(\w+)`", said)
        assert [column.name for column in table.primary_key] == [key]
        wanted = re.findall(r": `(\w+)`$", said)
        assert all(one in table.columns for one in wanted), name
        assert not wanted or not all(wanted[0] in keys for keys in unique_keys(table)), name
