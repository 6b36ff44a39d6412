"""The page of all commands, from what `--help` says, and the page of schemas."""

from __future__ import annotations

import json
import re
from typing import Any, get_args, get_type_hints

import typer

from dnnplan.cli.app import app
from dnnplan.cli.lists import schema
from dnnplan.deploy.manifest_schema import manifest_schema_text
from dnnplan.instances.schema import schema_text


def commands_page() -> str:
    """Every command with usage, help, arguments and options."""
    root: Any = typer.main.get_command(app)
    parts = [
        "# Commands",
        "What `dnnplan COMMAND --help` says. Exit codes and what scripts can rely on: [command line](../cli.md).",
        options_table(root),
    ]
    for name, command in sorted(root.commands.items()):
        parts += [
            f"## dnnplan {name}",
            usage(name, command),
            escaped(plain(command.help or "")),
            options_table(command),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Help without the marks of rich and with paragraphs kept."""
    return re.sub(r"\[/?(?:bold|italic|dim|cyan|green|red|yellow)\]", "", text).replace("\b", "").strip()


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([<>\[\]*_|])", r"\\\1", text)


def usage(name: str, command: Any) -> str:
    """The usage line as a block."""
    words = [argument_name(p) for p in command.params if p.param_type_name == "argument"]
    return f"```text\ndnnplan {name} [OPTIONS] {' '.join(words)}".rstrip() + "\n```"


def argument_name(parameter: Any) -> str:
    """An argument as a usage line has it."""
    name = (parameter.metavar or parameter.name).upper().strip("[].")
    name = f"{name}..." if parameter.nargs == -1 else name
    return name if parameter.required else f"[{name}]"


def options_table(command: Any) -> str:
    """Arguments and options with their help."""
    rows = []
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            names = f"`{argument_name(parameter)}`"
        else:
            names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        said = escaped(" ".join(plain(parameter.help or "").split()))
        rows.append(f"| {names} | {said} {default_text(parameter)}|")
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) if rows else ""


def default_text(parameter: Any) -> str:
    """The default where there is one to speak of."""
    value = parameter.default
    if (
        callable(value)
        or value is None
        or isinstance(value, bool)
        or value in ((), [], "")
        or "Sentinel" in repr(type(value))
    ):
        return ""
    shown = ",".join(map(str, value)) if isinstance(value, list | tuple) else getattr(value, "value", value)
    return f"Default: `{shown}`. "


def schema_texts() -> dict[str, str]:
    """Kind of file -> its JSON Schema."""
    kinds = get_args(get_type_hints(schema)["kind"])
    return {kind: manifest_schema_text() if kind == "manifest" else schema_text(kind) for kind in kinds}


def schemas_page() -> str:
    """A row for each schema, and what it describes."""
    rows = []
    for kind, text in schema_texts().items():
        content = json.loads(text)
        words = " ".join(str(content.get("description") or content.get("title") or "").split()).split(". ")[0]
        rows.append(f"| [{kind}](schemas/{kind}.schema.json) | {escaped(words)} |")
    head = (
        "# Schemas\n\nJSON Schema of every file, as `dnnplan schema KIND` prints it. What the fields mean: "
        "[instance format](../instance-format.md).\n\n| kind | what it describes |\n|---|---|"
    )
    return "\n".join([head, *rows]) + "\n"
