"""Messages to receivers: templates, sending, resending, test messages, and the heartbeat."""
