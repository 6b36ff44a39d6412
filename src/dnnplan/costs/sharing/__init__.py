"""Which tasks share what: blocks, task graphs, their measures, and networks to choose from."""
