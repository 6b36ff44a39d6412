"""Search from plan to plan: annealing, genetic, local, large neighbourhoods."""
