"""The magics, and everything else that needs IPython."""
