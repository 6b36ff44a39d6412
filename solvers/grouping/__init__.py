"""Task graphs and choices of networks: rules, enumeration with bounds, local search, exact models."""
