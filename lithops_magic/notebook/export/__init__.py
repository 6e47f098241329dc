"""`%lambda_export`: exports a clean notebook, a Python script, or a page that opens offline."""
