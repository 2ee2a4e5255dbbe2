"""Progress for people: one line per step on standard error, with the seconds it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

_console = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """Print one line (rich markup allowed)."""
    _console.print(message)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Show that a step runs and, once it is done, how long it took; a failed step is marked as failed."""
    started = time.monotonic()
    with _console.status(title):
        try:
            yield
        except BaseException:
            _console.print(f"[red]failed[/red]  {title}")
            raise
    _console.print(f"[green]done[/green]  {title} [dim]{time.monotonic() - started:.1f} s[/dim]")
