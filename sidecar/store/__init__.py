"""All SQL: the event log, what follows from it, what is owed to the collector, and the tokens."""

from sidecar.store.retention import Retention
from sidecar.store.store import Store
from sidecar.store.writer import Limits

__all__ = ["Limits", "Retention", "Store"]
