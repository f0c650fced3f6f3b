"""Records a client's calls and callbacks as events, and sends them to a Zimwatch server."""
