"""Code with which tasks read their part of the data: shipped with such jobs; standard library only."""
