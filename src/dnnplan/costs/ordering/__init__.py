"""In which order tasks run on one device: costs of an order, conditions, memories that keep blocks."""
