"""Code that runs inside a sandbox, under the function's own Python; started by path, never imported from here."""
