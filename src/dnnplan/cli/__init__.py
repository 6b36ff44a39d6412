"""The command line, `dnnplan`; docs/cli.md has the contract that scripts rely on."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Imported here: `import dnnplan.cli` alone loads neither typer nor rich.
    from dnnplan.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        # Names may hold what the terminal cannot print.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    app(prog_name="dnnplan")
