"""The version of this Zimwatch; the package takes it from here."""

VERSION = "0.1.0"
