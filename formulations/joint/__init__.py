"""A task graph and an order of its tasks: exact models."""
