"""What a person sees of a job, in a notebook and in a terminal."""
