"""Integrations of Lithops with other libraries."""
