"""Data where they lie: objects in S3, addresses and files as items, in parts that end where records do."""
