"""Pictures and tables of instances, plans and results: terminal Gantt, figures, traces, tables."""
