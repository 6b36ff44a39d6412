"""The steps of H2H (Zhang et al., DAC 2022): frontiers, knapsack, completion of a plan, and remapping."""
