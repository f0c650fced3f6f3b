"""The PostgreSQL engine."""

from sidecar.store.postgres.commands import (
    exists,
    is_served,
    look,
    name,
    newest_receipt_us,
    pending_migrations,
    reading,
    refusing,
)
from sidecar.store.postgres.postgres_database import PostgresDatabase
from sidecar.store.postgres.postgres_errors import unreadable

__all__ = [
    "PostgresDatabase",
    "exists",
    "is_served",
    "look",
    "name",
    "newest_receipt_us",
    "pending_migrations",
    "reading",
    "refusing",
    "unreadable",
]
