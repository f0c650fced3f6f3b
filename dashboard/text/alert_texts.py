"""What alerts, their states, labels and history are called on the pages."""

from __future__ import annotations

from typing import Final

from dashboard.text.app_names import apps
from dashboard.text.language import gettext as _
from dashboard.text.language import marked
from sidecar.domain.alerts.alert import Kind
from sidecar.domain.alerts.rules import KINDS, advice_sentences
from sidecar.domain.texts import Text

DURATIONS: Final = {
    "30m": marked("30 minutes"),
    "1h": marked("1 hour"),
    "4h": marked("4 hours"),
    "24h": marked("24 hours"),
    "7d": marked("7 days"),
}
KIND_TEXTS: Final = {kind: rule.title.template for kind, rule in KINDS.items()}
SEVERITY_TEXTS: Final = {"critical": marked("Critical"), "warning": marked("Warning"), "info": marked("Info")}
STATE_TEXTS: Final = {
    "pending": marked("Pending"),
    "firing": marked("Firing"),
    "acknowledged": marked("Acknowledged"),
    "resolved": marked("Resolved"),
}
GROUP_TEXTS: Final = {
    "": marked("Not grouped"),
    "kind": marked("By kind"),
    "cause": marked("By cause"),
    "user": marked("By user"),
    "app": marked("By app"),
}
# Why an alert is suppressed.
SUPPRESSION_TEXTS: Final = {
    "late": marked("late"),
    "storm": marked("part of a storm"),
    "ping_pong": marked("part of a ping-pong"),
    "flapping": marked("flapping"),
    "silenced": marked("silenced"),
}
SUPPRESSION_REASONS: Final = {
    "late": marked("it arrived too late"),
    "storm": marked("the alert about the storm covers it"),
    "ping_pong": marked("the alert about two devices that kick each other out covers it"),
    "flapping": marked("it is flapping, and one notification about that was sent"),
    "silenced": marked("it is silenced"),
    "acknowledged": marked("it was acknowledged"),
    "resolved before it was sent": marked("resolved before it was sent"),
    "the firing was not delivered": marked("the firing was not delivered"),
}
# An entry of an alert's history.
HISTORY_TEXTS: Final = {
    "opened": marked("fired"),
    "cause": marked("again"),
    "resolved": marked("resolved"),
    "acknowledged": marked("acknowledged"),
    "unheld": marked("no longer suppressed"),
    "repeat": marked("sent again"),
}
# The kinds of notifications.
NOTIFICATION_TEXTS: Final = {
    "firing": marked("firing"),
    "repeat": marked("still firing"),
    "acknowledged": marked("acknowledged"),
    "resolved": marked("resolved"),
}
# The labels of alerts.
LABEL_TEXTS: Final = {
    "kind": marked("kind"),
    "severity": marked("severity"),
    "app_id": marked("app"),
    "user_id": marked("user id"),
    "platform": marked("platform"),
    "sdk_version": marked("SDK version"),
    "app_version": marked("app version"),
    "device_id": marked("device id"),
    "part": marked("part"),
    "flapping": marked("flapping"),
    "watched_by": marked("watched by"),
}


# Authors without a name: requests from this machine that needed no token.
_PEOPLE: Final = {"local": marked("local")}


def person(name: str) -> str:
    """The name of an author, for display."""
    return _(_PEOPLE[name]) if name in _PEOPLE else name


def advice(kind: Kind, summary: Text) -> str:
    """The advice for an alert, in the language of the request."""
    return " ".join(_(one.template) for one in advice_sentences(kind, summary))


def label(name: str) -> str:
    """The title of a label."""
    return _(LABEL_TEXTS[name]) if name in LABEL_TEXTS else name.replace("_", " ")


def label_value(name: str, value: str) -> str:
    """A label's value: translated if it is a kind or a severity, an app by its name, else unchanged."""
    if name == "app_id" and value.isdecimal():
        return apps().in_full(int(value))
    word = {"kind": KIND_TEXTS, "severity": SEVERITY_TEXTS}.get(name, {}).get(value)
    return _(word) if word else value
