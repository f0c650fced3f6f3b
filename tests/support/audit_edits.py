"""Random edits of the tables of an audit log, as someone makes them who can write to the database."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa

from sidecar.store.access import audit_chain, audit_log, audit_schema
from sidecar.store.access.audit_values import Head

TABLES: Final = (audit_schema.audit_log, audit_schema.audit_marks, audit_schema.audit_subjects)
_VALUES: Final[tuple[Any, ...]] = ("", "mallory", "user 0", 0, 1, -1, 7, 99, 1 << 40, 2.5, b"", b"\0" * 32, b"mallory")


def edit(connection: sa.Connection, chance: random.Random) -> str:
    """Makes one edit that changes something, and says which."""
    while True:
        made = chance.choice(EDITS)
        before = everything(connection)
        try:
            with connection.begin_nested():
                did = made(connection, chance)
        except sa.exc.IntegrityError:
            continue
        if everything(connection) != before:
            return f"{made.__name__}: {did}"


def everything(connection: sa.Connection) -> list[Any]:
    """Each value of the tables, with its type."""
    rows = [row for table in TABLES for row in connection.exec_driver_sql(f"SELECT * FROM {table.name} ORDER BY 1, 2")]
    return [(type(value), value) for row in rows for value in row]


def change(connection: sa.Connection, chance: random.Random) -> str:
    table = chance.choice((audit_schema.audit_log, *TABLES))
    key = table.primary_key.columns[0].name
    # What was searched for is kept as it was written, and its pseudonym is of any way to write it.
    kept = "app_id IS NOT NULL" if table is audit_schema.audit_subjects else "TRUE"
    keys = [row[0] for row in connection.exec_driver_sql(f"SELECT {key} FROM {table.name} WHERE {kept}")]
    where = chance.choice(keys)
    column = chance.choice(table.columns.keys())
    old = connection.exec_driver_sql(f"SELECT {column} FROM {table.name} WHERE {key} = ?", (where,)).scalar()
    value = chance.choice((None, *_VALUES, _flipped(old, chance), _flipped(old, chance)))
    connection.exec_driver_sql(f"UPDATE {table.name} SET {column} = ? WHERE {key} = ?", (value, where))
    return f"{table.name}.{column} of {where} is {value!r}"


def _flipped(value: Any, chance: random.Random) -> Any:
    """The value with one bit or character changed, or as another type."""
    if isinstance(value, bytes) and value:
        at = chance.randrange(len(value))
        return value[:at] + bytes([value[at] ^ (1 << chance.randrange(8))]) + value[at + 1 :]
    if isinstance(value, str) and value:
        at = chance.randrange(len(value))
        return chance.choice((value.encode(), value[:at] + "x" + value[at + 1 :], value + " ", value.upper()))
    return value + chance.choice((-1, 1)) if isinstance(value, int) else value


def remove(connection: sa.Connection, chance: random.Random) -> str:
    gone = chance.sample(_ids(connection), chance.randint(1, 3))
    connection.exec_driver_sql("DELETE FROM audit_log WHERE id = ?", [(one,) for one in gone])
    return str(gone)


def remove_and_renumber(connection: sa.Connection, chance: random.Random) -> str:
    """The rows behind a removed one move up, so that there is no gap."""
    gone = chance.choice(_ids(connection))
    connection.exec_driver_sql("DELETE FROM audit_log WHERE id = ?", (gone,))
    for one in _ids(connection):
        if one > gone:
            connection.exec_driver_sql("UPDATE audit_log SET id = ? WHERE id = ?", (one - 1, one))
    return str(gone)


def reorder(connection: sa.Connection, chance: random.Random) -> str:
    """Rows of a run change places with one another."""
    ids = _ids(connection)
    first = chance.randrange(len(ids) - 2)
    run = ids[first : chance.randint(first + 2, len(ids))]
    for one in run:
        connection.exec_driver_sql("UPDATE audit_log SET id = ? WHERE id = ?", (-one, one))
    mixed = chance.sample(run, len(run))
    for one, place in zip(run, mixed, strict=True):
        connection.exec_driver_sql("UPDATE audit_log SET id = ? WHERE id = ?", (place, -one))
    return f"{run} as {mixed}"


def remove_all(connection: sa.Connection, _chance: random.Random) -> str:
    connection.exec_driver_sql("DELETE FROM audit_log")
    return "every row"


def cut_tail(connection: sa.Connection, chance: random.Random) -> str:
    """With the head moved as well, but for its seal, which needs the key."""
    last = chance.choice(_ids(connection)[:-1])
    connection.exec_driver_sql("DELETE FROM audit_log WHERE id > ?", (last,))
    _move(connection, "head", last)
    return f"after {last}"


def cut_front(connection: sa.Connection, chance: random.Random) -> str:
    last = chance.choice(_ids(connection)[:-1])
    _move(connection, "anchor", last)
    connection.exec_driver_sql("DELETE FROM audit_log WHERE id <= ?", (last,))
    return f"up to {last}"


def swap(connection: sa.Connection, chance: random.Random) -> str:
    one, other = chance.sample(_ids(connection), 2)
    for before, after in ((one, -1), (other, one), (-1, other)):
        connection.exec_driver_sql("UPDATE audit_log SET id = ? WHERE id = ?", (after, before))
    return f"{one} and {other}"


def swap_contents(connection: sa.Connection, chance: random.Random) -> str:
    """Two rows change places and keep their hashes."""
    one, other = chance.sample(_ids(connection), 2)
    names = "at_us, actor, action, subject, address, request_id, details"
    sql = f"SELECT {names} FROM audit_log WHERE id = ?"
    first, second = (tuple(connection.exec_driver_sql(sql, (row,)).one()) for row in (one, other))
    places = ", ".join(f"{name} = ?" for name in names.split(", "))
    for values, row in ((first, other), (second, one)):
        connection.exec_driver_sql(f"UPDATE audit_log SET {places} WHERE id = ?", (*values, row))
    return f"{one} and {other}"


def insert(connection: sa.Connection, chance: random.Random) -> str:
    """A copy of a row at the end, or before the first."""
    ids = _ids(connection)
    names = "at_us, actor, action, subject, address, request_id, details, hash, seal"
    copied, new = chance.choice(ids), chance.choice((max(ids) + 1, min(ids) - 1, max(ids) + 100))
    sql = f"INSERT INTO audit_log (id, {names}) SELECT ?, {names} FROM audit_log WHERE id = ?"
    connection.exec_driver_sql(sql, (new, copied))
    return f"{copied} as {new}"


def rewrite(connection: sa.Connection, chance: random.Random) -> str:
    """Changes a row and makes new hashes from there on, which needs no key."""
    first = chance.choice(_ids(connection))
    connection.exec_driver_sql("UPDATE audit_log SET actor = 'mallory' WHERE id = ?", (first,))
    rehash(connection, first)
    return f"from {first}"


def rehash(connection: sa.Connection, first: int, key: bytes | None = None) -> None:
    """The hashes from row ``first`` on and the head; with ``key`` the seals too."""
    sql = "SELECT hash FROM audit_log WHERE id = ? UNION ALL SELECT hash FROM audit_marks WHERE name = 'anchor'"
    hash_ = connection.exec_driver_sql(sql, (first - 1,)).all()[0][0]
    names = ", ".join(audit_chain.HASHED)
    last, at_us = 0, 0
    for row in connection.exec_driver_sql(f"SELECT {names} FROM audit_log WHERE id >= ? ORDER BY id", (first,)).all():
        hash_, last, at_us = audit_chain.hash_of(hash_, tuple(row)), row[0], row[1]
        connection.exec_driver_sql("UPDATE audit_log SET hash = ? WHERE id = ?", (hash_, last))
        if key is not None:
            seal = audit_chain.seal_of(key, last, hash_)
            connection.exec_driver_sql("UPDATE audit_log SET seal = ? WHERE id = ?", (seal, last))
    if key is None:
        connection.exec_driver_sql("UPDATE audit_marks SET hash = ? WHERE name = 'head'", (hash_,))
    else:
        audit_log.mark(connection, key, "head", Head(last, at_us, hash_.hex()))


def _move(connection: sa.Connection, name: str, row: int) -> None:
    sql = (
        "UPDATE audit_marks SET (id, at_us, hash) = (SELECT id, at_us, hash FROM audit_log WHERE id = ?) WHERE name = ?"
    )
    connection.exec_driver_sql(sql, (row, name))


def _ids(connection: sa.Connection) -> list[int]:
    return [row[0] for row in connection.exec_driver_sql("SELECT id FROM audit_log ORDER BY id")]


EDITS: Final[tuple[Callable[[sa.Connection, random.Random], str], ...]] = (
    change,
    change,
    change,
    change,
    remove,
    remove_and_renumber,
    remove_all,
    reorder,
    cut_tail,
    cut_front,
    swap,
    swap_contents,
    insert,
    rewrite,
)
