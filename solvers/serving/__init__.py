"""Solvers of serving: batches of samples that are all known."""
