"""Functions and layers: defined, created, waited for, deleted."""
