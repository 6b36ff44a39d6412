"""Mathematical models only, no search: formulations and lower bounds."""
