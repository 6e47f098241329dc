"""Roles and policies: generated, created, read."""
