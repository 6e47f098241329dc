"""What an account contains, and whether it can run jobs."""
