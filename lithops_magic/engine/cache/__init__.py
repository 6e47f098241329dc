"""Cached values of earlier jobs: how they are named, where they are stored, how they are loaded."""
