"""The tables of accounts and of the sessions of browsers."""

from __future__ import annotations

import sqlalchemy as sa

from sidecar.store.schema import KEY, metadata

# People who sign in by name and password. Rows are never deleted. ``apps`` is NULL for every app.
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("apps", sa.Text),
    sa.Column("password_hash", sa.Text),
    sa.Column("totp_secret", sa.LargeBinary),
    sa.Column("totp_step", sa.BigInteger),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("password_changed_at_us", sa.BigInteger),
    sa.Column("signed_in_at_us", sa.BigInteger),
    sa.Column("disabled_at_us", sa.BigInteger),
)

# Links by which a person sets the password of an account, once.
account_links = sa.Table(
    "account_links",
    metadata,
    sa.Column("secret_sha256", sa.LargeBinary, primary_key=True),
    sa.Column("account_id", KEY, nullable=False, unique=True),
    sa.Column("until_us", sa.BigInteger, nullable=False),
)

recovery_codes = sa.Table(
    "recovery_codes",
    metadata,
    sa.Column("account_id", KEY, primary_key=True, autoincrement=False),
    sa.Column("code_sha256", sa.LargeBinary, primary_key=True),
)

# Browsers that are signed in. A session ends with its owner, and after the times in the settings.
browser_sessions = sa.Table(
    "browser_sessions",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("secret_sha256", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("token_id", KEY),
    sa.Column("account_id", KEY),
    sa.Column("issuer", sa.Text),
    sa.Column("subject", sa.Text),
    # The session at the provider that it was begun with.
    sa.Column("sid", sa.Text),
    sa.Column("role", sa.Text),
    sa.Column("apps", sa.Text),
    sa.Column("refresh", sa.Text),
    sa.Column("checked_at_us", sa.BigInteger),
    # Why it was ended, as a stored text; NULL while it was not.
    sa.Column("ended", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("browser", sa.Text, nullable=False),
    sa.Column("created_at_us", sa.BigInteger, nullable=False),
    sa.Column("seen_at_us", sa.BigInteger, nullable=False),
    sa.Index("browser_sessions_by_owner", "owner", "seen_at_us"),
)
