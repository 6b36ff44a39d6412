"""Orders of tasks on one device: exact models and lower bounds."""
