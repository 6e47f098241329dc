"""Functions and layers: definition, creation, waiting, deletion."""
