"""Roles and policies: written, created, read."""
