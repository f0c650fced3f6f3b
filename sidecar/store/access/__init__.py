"""Credentials: API tokens, browser sessions, share links, the signed requests that were already used; the audit log."""
