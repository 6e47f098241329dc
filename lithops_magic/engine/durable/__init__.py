"""What outlives the process: the job's folder on this machine, and results kept in S3."""
