"""Projections of the event log for each client and user, and every read of them."""
