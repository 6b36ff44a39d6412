"""Example of a package that adds to dnnplan: a solver, a format, and a source of costs."""
