"""Plans built layer by layer: list schedulers and what they share."""
