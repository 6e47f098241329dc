"""How numbers, values and errors are formatted."""
