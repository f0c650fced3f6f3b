"""The texts of pages and their language."""
