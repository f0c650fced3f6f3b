"""The SQLite engine: the file, its connections and write lock, search, backup, size and integrity."""
