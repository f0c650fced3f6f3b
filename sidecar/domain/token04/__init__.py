"""ZEGO's Token04: its layout, and what can be said of one with and without the ServerSecret. Pure."""
