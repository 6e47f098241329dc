"""How a job is shown, in notebooks and in terminals."""
