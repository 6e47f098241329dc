"""Where functions run and how they are reached."""
