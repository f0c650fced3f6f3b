"""Copies a whole database to another one, of any engine, also while the source is served."""
