"""``zimwatch completion``: completion of commands and options in a shell, by click."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog='For bash: eval "$(zimwatch completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which a shell completes commands and options.

    Have your shell read it at its start: ~/.bashrc or ~/.zshrc evaluate it, and fish takes it as
    ~/.config/fish/completions/zimwatch.fish.
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice has only those that click knows
    click.echo(kind(context.find_root().command, {}, "zimwatch", "_ZIMWATCH_COMPLETE").source())
