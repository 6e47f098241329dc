"""The magics, one module per group."""
