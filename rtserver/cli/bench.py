"""`rtserver bench`: load-tests a server that runs."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from rtserver.bench import report
from rtserver.bench.client import Address
from rtserver.bench.load import CannotConnect, Outcome, Plan, Progress, run

if sys.platform == "win32":
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop


class _Url(click.ParamType[Address]):
    name = "url"

    def convert(
        self, value: Address | str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return Address.of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_positive = click.IntRange(min=1)


@click.command()
@click.option("--clients", type=_positive, default=100, show_default=True, help="Connections.")
@click.option(
    "--rooms", type=_positive, default=10, show_default=True, help="The clients are spread over them."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=500,
    show_default=True,
    help="Messages published per second, by all clients together.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10,
    show_default=True,
    help="How long they publish.",
)
@click.option("--size", type=_positive, default=64, show_default=True, help="Characters of a message.")
@click.option("--url", type=_Url(), default="http://127.0.0.1:8000", show_default=True, help="The server.")
@click.option("--token", help="Token of every client, where the server wants one.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def bench(
    clients: int,
    rooms: int,
    rate: float,
    seconds: float,
    size: int,
    url: Address,
    token: str | None,
    as_json: bool,
) -> None:
    """Load-test a running server: clients chat in rooms, deliveries are timed.

    The server's limits apply: what it refuses is counted and shown by its reason.
    """
    plan = Plan(url, clients, min(rooms, clients), rate, seconds, size, token)
    try:
        with _progress(seconds) as progress:
            outcome = _run(plan, progress)
    except CannotConnect as error:
        click.echo(f"Cannot connect to {url.host}:{url.port}: {error}.", err=True)
        raise click.exceptions.Exit(1) from None
    click.echo(json.dumps(report.figures(outcome), indent=2) if as_json else report.text(outcome))


def _run(plan: Plan, progress: Progress) -> Outcome:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(run(plan, progress))


@contextmanager
def _progress(seconds: float) -> Iterator[Progress]:
    """Show a bar on a terminal, and nothing in a pipe or a log."""
    if not sys.stderr.isatty():
        yield lambda at: None
        return
    steps = 200
    with click.progressbar(length=steps, label="publishing", file=sys.stderr, show_pos=False) as bar:
        yield lambda at: bar.update(int(min(at / seconds, 1) * steps) - bar.pos)
