"""Accounts, and sessions of browsers that belong to a token, an account, or an identity from outside."""

from __future__ import annotations

from alembic import op

revision = "0055_accounts"
down_revision = "0050_proven"
KEEPS_PROJECTIONS = True

STATEMENTS = (
    """
    CREATE TABLE accounts (
        id INTEGER NOT NULL PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        apps TEXT,
        password_hash TEXT,
        totp_secret BLOB,
        totp_step BIGINT,
        created_at_us BIGINT NOT NULL,
        password_changed_at_us BIGINT,
        signed_in_at_us BIGINT,
        disabled_at_us BIGINT
    )
    """,
    """
    CREATE TABLE account_links (
        secret_sha256 BLOB NOT NULL PRIMARY KEY,
        account_id INTEGER NOT NULL UNIQUE,
        until_us BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE recovery_codes (
        account_id INTEGER NOT NULL,
        code_sha256 BLOB NOT NULL,
        PRIMARY KEY (account_id, code_sha256)
    )
    """,
    "INSERT INTO keys (name, value) VALUES ('accounts', randomblob(32))",
    "DROP INDEX browser_sessions_by_token",
    "ALTER TABLE browser_sessions RENAME TO browser_sessions_before",
    """
    CREATE TABLE browser_sessions (
        id INTEGER NOT NULL PRIMARY KEY,
        secret_sha256 BLOB NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        token_id INTEGER,
        account_id INTEGER,
        issuer TEXT,
        subject TEXT,
        role TEXT,
        apps TEXT,
        refresh TEXT,
        checked_at_us BIGINT,
        name TEXT NOT NULL,
        address TEXT NOT NULL,
        browser TEXT NOT NULL,
        created_at_us BIGINT NOT NULL,
        seen_at_us BIGINT NOT NULL
    )
    """,
    """
    INSERT INTO browser_sessions
        (id, secret_sha256, owner, token_id, name, address, browser, created_at_us, seen_at_us)
    SELECT id, secret_sha256, 'token ' || token_id, token_id, name, '', '', created_at_us, seen_at_us
    FROM browser_sessions_before WHERE token_id IS NOT NULL
    """,
    "DROP TABLE browser_sessions_before",
    "CREATE INDEX browser_sessions_by_owner ON browser_sessions (owner, seen_at_us)",
)


def upgrade() -> None:
    """Forward only: a backup is the way back."""
    for statement in STATEMENTS:
        op.execute(statement)
