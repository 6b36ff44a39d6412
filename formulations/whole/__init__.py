"""Task graph and mapping together: all task graphs of a few tasks, bounds over all of them, and one model."""
