"""How numbers, values and errors read."""
