"""The table of users whose data is being erased or was. Once it is gone, the row has a pseudonym alone."""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.store.schema import KEY, metadata, where

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("app_id", sa.BigInteger, nullable=False),
    sa.Column("user_id", sa.Text),
    sa.Column("pseudonym", sa.Text, nullable=False),
    sa.Column("asked_at_us", sa.BigInteger, nullable=False),
    sa.Column("began_at_us", sa.BigInteger),
    sa.Column("finished_at_us", sa.BigInteger),
    # The key that the user had, and the position of the newest event at the beginning: what came later stays.
    sa.Column("user_key", KEY),
    sa.Column("through_position", KEY),
    # The holding whose data is removed next, and where in it.
    sa.Column("holding", sa.Text),
    sa.Column("cursor", KEY, nullable=False),
    # By table, as JSON: how many rows were removed or changed.
    sa.Column("removed", sa.Text, nullable=False),
    sa.Index("erasures_pending", "id", **where("finished_at_us IS NULL")),
    sa.Index("erasures_by_pseudonym", "pseudonym", "through_position"),
    sa.Index("erasures_by_position", "through_position"),
)
