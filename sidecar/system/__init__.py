"""What the server uses of its machine, behind protocols that a test can implement."""
