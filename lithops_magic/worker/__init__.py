"""The code that is shipped to Lambda."""
