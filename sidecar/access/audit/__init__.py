"""What goes into the audit log: the table of routes, what a request adds to it, and the recorder that writes it."""

from sidecar.access.audit.recorder import Recorder
from sidecar.access.audit.trail import REQUEST_ID, Trail, of

__all__ = ["REQUEST_ID", "Recorder", "Trail", "of"]
