"""What a function takes and costs at several sizes, measured on a few of its items and remembered."""
