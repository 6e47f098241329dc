"""What an account has, and whether it can run jobs."""
