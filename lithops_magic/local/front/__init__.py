"""The HTTP front end: authentication, and which service each request is for."""
