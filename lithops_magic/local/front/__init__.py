"""The HTTP door: who may come in, and which service each request is for."""
