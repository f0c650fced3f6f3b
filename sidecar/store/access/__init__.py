"""Credentials: API tokens, browser sessions, share links, and the signed requests that were already used."""
