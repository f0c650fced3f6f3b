"""What is held of a user, and that it can be read and removed."""
