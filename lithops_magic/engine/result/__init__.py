"""What the user holds: values, errors, logs and plots of a job, and the operations on them."""
