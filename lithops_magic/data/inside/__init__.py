"""What tasks need to read their part of the data: shipped with a job that has such items; the standard library only."""
