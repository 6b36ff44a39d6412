"""Mapping and scheduling: the CP-SAT and the MILP formulation in the same four parts, and lower bounds.

Parts: ``variables``, ``constraints``, ``objective``, ``extract``. Symbols are those of docs/cost-model.md.
"""
