"""Values that were computed before: what names them, where they are kept, how they come back."""
