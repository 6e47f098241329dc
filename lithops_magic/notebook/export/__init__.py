"""`%lambda_export`: the notebook as a clean notebook, as a Python script or as a page that opens offline."""
