"""Two providers of OpenID Connect on loopback: a certified one, and one that a test can make hostile."""
