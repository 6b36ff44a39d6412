"""Exact search with CP-SAT and MILP, and the linear relaxation."""
