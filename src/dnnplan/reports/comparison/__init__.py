"""What rows of a store say when they are compared: cases, intervals, profiles, cactus, convergence, scaling."""
