"""The form that shows, checks and saves the configuration."""
