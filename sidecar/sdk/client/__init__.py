"""The client SDK for Python: its protocol, the bridge to the real SDK in Node.js, and the installation of that."""
