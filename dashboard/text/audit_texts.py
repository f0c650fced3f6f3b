"""What was done, as the page of the audit log says it."""

from __future__ import annotations

from typing import Final

from dashboard.text.language import marked
from sidecar.store.access.audit_values import AuditAction

ACTION_TEXTS: Final = {
    AuditAction.ACCOUNT_CHANGED: marked("changed an account"),
    AuditAction.ALERT_ACKNOWLEDGED: marked("acknowledged an alert"),
    AuditAction.ALERT_SEEN: marked("looked at an alert"),
    AuditAction.ALERTS_LISTED: marked("listed alerts"),
    AuditAction.AUDIT_CUT: marked("cut the audit log"),
    AuditAction.AUDIT_EXPORTED: marked("exported the audit log"),
    AuditAction.AUDIT_SEEN: marked("looked at the audit log"),
    AuditAction.BACKUP_MADE: marked("made a backup"),
    AuditAction.BACKUP_RESTORED: marked("restored a backup"),
    AuditAction.CHAT_COMMAND: marked("sent a chat command"),
    AuditAction.DATABASE_COPIED: marked("moved the database here"),
    AuditAction.DATABASE_PRUNED: marked("pruned the database"),
    AuditAction.DATABASE_REBUILT: marked("rebuilt the database"),
    AuditAction.HAND_OFF_MADE: marked("made a share link"),
    AuditAction.HAND_OFF_OPENED: marked("opened a share link"),
    AuditAction.MESSAGE_SENT_AGAIN: marked("sent a message again"),
    AuditAction.MESSAGES_LISTED: marked("listed undelivered messages"),
    AuditAction.OVERVIEW_SEEN: marked("looked at the overview"),
    AuditAction.REFUSED: marked("was refused"),
    AuditAction.REJECTED_LISTED: marked("listed rejected events"),
    AuditAction.SEARCHED: marked("searched for users"),
    AuditAction.SETTINGS_RELOADED: marked("had the settings read again"),
    AuditAction.SETTINGS_SEEN: marked("looked at the settings"),
    AuditAction.SIGNED_IN: marked("signed in"),
    AuditAction.SIGNED_OUT: marked("signed out"),
    AuditAction.SILENCE_ENDED: marked("ended a silence"),
    AuditAction.SILENCE_MADE: marked("made a silence"),
    AuditAction.SILENCES_LISTED: marked("listed silences"),
    AuditAction.STREAM_OPENED: marked("opened a stream of changes"),
    AuditAction.TEST_MESSAGE_SENT: marked("sent a test message"),
    AuditAction.TOKEN_CHECKED: marked("checked a ZIM token"),
    AuditAction.TOKEN_MADE: marked("made a token"),
    AuditAction.TOKEN_REVOKED: marked("revoked a token"),
    AuditAction.TOKEN_ROTATED: marked("rotated a token"),
    AuditAction.USER_ERASED: marked("erased a user"),
    AuditAction.USER_EXPORTED: marked("exported a user"),
    AuditAction.USER_SEEN: marked("looked at a user"),
    AuditAction.USERS_EXPORTED: marked("exported users"),
    AuditAction.USERS_LISTED: marked("listed users"),
    AuditAction.WATCH_ENDED: marked("ended a watch"),
    AuditAction.WATCH_MADE: marked("watched a user"),
    AuditAction.WATCHES_LISTED: marked("listed watches"),
}
