"""Solvers of the whole plan: which tasks share which blocks, in which order, and where everything runs."""
