"""Each table has its place: in a holding, by which it is erased and exported, or among those without users."""

from __future__ import annotations

import sidecar.alerting.tables.alert_schema
import sidecar.store.access.audit_schema
import sidecar.store.care.erasure_schema  # noqa: F401 - these tables are in the metadata then
from sidecar.alerting import HOLDINGS
from sidecar.store.care.holdings import all_holdings
from sidecar.store.care.user_data import WITHOUT_USERS
from sidecar.store.schema import metadata

# Columns by which a table is about a user or a device of one.
OF_USERS = {"user_id", "client_id", "device_id", "session_id", "user_key", "extended_data"}


def held() -> set[str]:
    return {table for holding in all_holdings(HOLDINGS) for table in holding.tables}


def test_each_table_is_in_a_holding_or_named_as_one_without_users() -> None:
    missing = set(metadata.tables) - held() - set(WITHOUT_USERS)
    assert not missing, f"name these tables in a holding, or in WITHOUT_USERS with the reason: {missing}"
    assert not held() & set(WITHOUT_USERS)
    assert held() | set(WITHOUT_USERS) <= set(metadata.tables)


def test_no_table_with_a_column_of_users_is_among_those_without() -> None:
    of_users = {name for name, table in metadata.tables.items() if OF_USERS & {column.name for column in table.columns}}
    # An erasure names its user until it is done.
    assert not (of_users - {"erasures"}) & set(WITHOUT_USERS)


def test_holdings_have_names_of_their_own() -> None:
    names = [holding.name for holding in all_holdings(HOLDINGS)]
    assert len(set(names)) == len(names)
