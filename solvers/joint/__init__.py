"""Task graphs and orders together."""
