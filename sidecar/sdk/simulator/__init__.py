"""A simulated SDK, and apps that use it."""
