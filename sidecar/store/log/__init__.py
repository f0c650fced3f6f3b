"""The event log: appending to it, reading it in order, and the followers that process it by cursor."""
