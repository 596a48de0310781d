"""Command lines that are read, but not run."""

import shlex

import click

from sqhw.cli import cli

__all__ = ["parse"]


def parse(typed: str) -> click.Context:
    """Reads what is typed after ``sqhw``; raises click's error unless a command takes all of it."""
    command: click.Command = cli
    name, arguments, parent = "sqhw", shlex.split(typed), None
    while True:
        parent = command.make_context(name, arguments, parent=parent)
        if not isinstance(command, click.Group):
            return parent
        name, found, arguments = command.resolve_command(parent, [*parent._protected_args, *parent.args])
        assert found is not None
        command = found
