"""Which networks to have, so that each task finds a good one: exact models."""
