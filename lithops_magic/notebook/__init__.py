"""The magics: everything that needs IPython."""
