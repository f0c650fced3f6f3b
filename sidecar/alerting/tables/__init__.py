"""The tables of alerting, with all their reads and writes. Functions of a connection."""
