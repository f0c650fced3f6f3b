"""Upkeep of a database beside its commits: retention, clocks that were set, and rebuilding projections."""
