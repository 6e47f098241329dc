"""The account's bucket and its objects."""
