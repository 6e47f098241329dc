"""What the user holds: values, errors, logs, pictures and what can be done with them."""
