"""An alert's summary as it is true when it is read.

A stored summary says how long something had lasted when the alert fired, which notifications repeat. A page, read
hours later, leaves that duration out: it has the moment at which the alert began beside it.
"""

from __future__ import annotations

from typing import Final

from dashboard.text.app_names import apps
from dashboard.text.language import gettext as _
from dashboard.text.language import marked
from dashboard.text.translate import parameters, translate
from sidecar.alerting.pending import Pending
from sidecar.domain.alerts.alert import RESOLVED, Alert
from sidecar.domain.alerts.rules.app_silent import APP_SILENT
from sidecar.domain.alerts.rules.backup_overdue import BACKUP_OVERDUE
from sidecar.domain.alerts.rules.edge_behind import EDGE_BEHIND, EDGE_SILENT
from sidecar.domain.alerts.rules.export_stalled import STALLED
from sidecar.domain.alerts.rules.offline_too_long import OFFLINE_TOO_LONG
from sidecar.domain.alerts.rules.token_expiring import TOKEN_EXPIRING, TOKENS_EXPIRING

# By the id of the stored sentence: what holds while the alert fires, and what held once it is resolved.
TIMELESS: Final = {
    APP_SILENT.id: (
        marked("Nothing is received from the app, although it sends at this time on other days"),
        marked("Nothing was received from the app, although it sends at that time on other days"),
    ),
    OFFLINE_TOO_LONG.id: (marked("%(who)s is offline"), marked("%(who)s was offline")),
    TOKEN_EXPIRING.id: (
        marked("%(who)s: the token is about to expire and is not renewed yet"),
        marked("%(who)s: the token was about to expire"),
    ),
    TOKENS_EXPIRING.id: (
        marked("Many tokens end within %(span)s: those of %(count)s users when the alert began"),
        marked("Many tokens ended within %(span)s: those of %(count)s users when the alert began"),
    ),
    STALLED.id: (
        marked("%(part)s: nothing is delivered (%(why)s)"),
        marked("%(part)s: nothing was delivered (%(why)s)"),
    ),
    EDGE_BEHIND.id: (
        marked("Edge %(edge)s has events that are missing here"),
        marked("Edge %(edge)s had events that were missing here"),
    ),
    EDGE_SILENT.id: (
        marked("Edge %(edge)s is silent"),
        marked("Edge %(edge)s was silent"),
    ),
    BACKUP_OVERDUE.id: (
        marked("The last good backup is too old (%(why)s)"),
        marked("The last good backup was too old (%(why)s)"),
    ),
}


def alert_summary(alert: Alert | Pending) -> str:
    """The summary of an alert, in the language of the request, without a duration that has gone by since.

    One about an app begins with the app's name, if it has one: the sentence says "the app".
    """
    name = apps().name(alert.subject.app_id) if alert.subject.user_id is None else None
    said = _sentence(alert)
    return _("%(app)s: %(summary)s") % {"app": name, "summary": said} if name else said


def _sentence(alert: Alert | Pending) -> str:
    known = TIMELESS.get(alert.summary.sentence)
    if known is None:
        return translate(alert.summary)
    firing, resolved = known
    is_over = isinstance(alert, Alert) and alert.state == RESOLVED
    return _(resolved if is_over else firing) % parameters(alert.summary)
