"""All SQL: the event log, what follows from it, the alerts, what is owed to others, and the tokens."""

from sidecar.store import alert_tables  # its tables stand beside those of sidecar.store.tables
from sidecar.store.retention import Retention
from sidecar.store.store import Store
from sidecar.store.writer import Limits

__all__ = ["Limits", "Retention", "Store", "alert_tables"]
