"""The names of spans and attributes. ``docs/spans.md`` explains them."""

from __future__ import annotations

from typing import Final

SPAN_NAME: Final = "zim.connection_state_changed"
EPISODES: Final = {"login": "zim.login", "outage": "zim.outage", "session": "zim.session"}
# https://opentelemetry.io/docs/specs/semconv/general/session/
SESSION_START: Final = "session.start"
SESSION_END: Final = "session.end"
PREVIOUS_SESSION_ID: Final = "session.previous_id"
DURATION: Final = "zim.duration"
EVENT_ID: Final = "zim.event.id"
APP_ID: Final = "zim.app.id"
USER_ID: Final = "user.id"
USER_HASH: Final = "user.hash"
SESSION_ID: Final = "session.id"
CLIENT_ID: Final = "zim.client.id"
CONNECTION_STATE: Final = "zim.connection.state"
CONNECTION_EVENT: Final = "zim.connection.event"
PREVIOUS_STATE: Final = "zim.connection.previous_state"
PREVIOUS_STATE_DURATION: Final = "zim.connection.previous_state.duration"
RESULT_CODE: Final = "zim.result.code"
USER_STATUS: Final = "zim.user.status"
OCCURRED_AT: Final = "zim.occurred_at"
EXTENDED_DATA: Final = "zim.extended_data"
PLATFORM: Final = "zim.platform"
SDK_NAME: Final = "zim.sdk.name"
SDK_VERSION: Final = "zim.sdk.version"
