"""The tables of an edge and of its centre."""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.store.schema import metadata

# One row once this database was an edge's: up to which position the centre has its events, and how many were deleted
# before that.
forwarding = sa.Table(
    "forwarding",
    metadata,
    sa.Column("forwarding", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("removed", sa.BigInteger, nullable=False),
)

# The edges that reported to this database's server, as of their last report.
edges = sa.Table(
    "edges",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("token_id", sa.BigInteger, nullable=False),
    sa.Column("seen_at_us", sa.BigInteger, nullable=False),
    sa.Column("waiting", sa.BigInteger, nullable=False),
    sa.Column("behind_us", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
