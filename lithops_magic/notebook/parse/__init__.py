"""From the text of a line and a cell to a function, items and options."""
