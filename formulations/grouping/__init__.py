"""Task graphs and choices of networks: exact models and lower bounds."""
