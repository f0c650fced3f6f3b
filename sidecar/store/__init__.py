"""All SQL: the event log, what follows from it, what is owed to the collector, and the tokens."""

from sidecar.store.store import Store

__all__ = ["Store"]
