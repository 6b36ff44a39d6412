"""Orders of tasks on one device: constructive rules, local search, dynamic programming, exact models."""
