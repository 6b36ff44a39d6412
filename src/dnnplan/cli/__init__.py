"""The command line, `dnnplan`; see docs/cli.md for the contract that scripts rely on."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    # Imported here: `import dnnplan.cli` alone loads neither typer nor rich.
    from dnnplan.cli.app import app

    app(prog_name="dnnplan")
