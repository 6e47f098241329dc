"""What other libraries are given of Lithops."""
