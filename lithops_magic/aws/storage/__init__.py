"""The account's bucket and the objects in it."""
