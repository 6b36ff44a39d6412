"""`python -m dnnplan`: the command line."""

from dnnplan.cli import main

main()
