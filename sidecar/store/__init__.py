"""All SQL: the event log, what follows from it, the alerts, what is owed to others, and the tokens."""

from sidecar.store import alert_tables  # its tables stand beside those of sidecar.store.tables
from sidecar.store.store import Store

__all__ = ["Store", "alert_tables"]
