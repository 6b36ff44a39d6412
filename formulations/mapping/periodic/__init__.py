"""Periodic tasks in steady state: the least cycle of a plan that repeats for ever, and lower bounds on it."""
