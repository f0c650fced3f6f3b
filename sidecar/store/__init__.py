"""The store: one database and its interface; all SQL but that of the alerts, which is in ``alerting.tables``.

Other packages read and write by functions of a connection, given to :meth:`Store.read` and :meth:`Store.write`.
"""

from sidecar.store.care.retention import Retention
from sidecar.store.store import Store
from sidecar.store.writer import Limits

__all__ = ["Limits", "Retention", "Store"]
