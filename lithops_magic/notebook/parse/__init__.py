"""Parses a magic's line and cell into a function, items and options."""
