"""Duration and cost of a function at several sizes, measured on a few of its items and remembered."""
