"""The files of the Web tap, which browsers and Node.js load. See ``docs/web-tap.md``."""
