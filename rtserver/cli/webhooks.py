"""`rtserver webhooks`: reads and steers the outbox, beside a running server or without one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from rtserver.cli.configured import config_option, configured
from rtserver.config.schema import Config
from rtserver.protocol.identifiers import iso_timestamp
from rtserver.store.base import Delivery, Steering, StoreError
from rtserver.webhooks.listing import listed

_T = TypeVar("_T")
_Function = TypeVar("_Function", bound=Callable[..., Any])

_STATES = ("pending", "delivered", "dead")
# Deliveries are newest first; more than a screen or two is for --json.
_LIMIT = 100


@click.group()
def webhooks() -> None:
    """Read and steer the outbox of webhook deliveries."""


def _common(command: _Function) -> _Function:
    """Give a command the options that all of these take."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    return config_option(as_json(command))


@webhooks.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--target", help="Only those to this target.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=_LIMIT, show_default=True, help="At most so many."
)
@_common
def list_(state: Any, target: str | None, limit: int, config: Path, as_json: bool) -> None:
    """List deliveries, the newest first."""
    settings = configured(config)
    found = _steer(settings, lambda steering: steering.listed(state, target, limit))
    if not found:
        _check_target(settings, target)
    if as_json:
        _print_json([listed(delivery) for delivery in found])
        return
    width = max((len(delivery.id) for delivery in found), default=0)
    for delivery in found:
        click.echo(_line(delivery, width))
    if not found:
        click.echo("there are no such deliveries", err=True)
    elif len(found) == limit:
        click.echo(f"the newest {limit} are shown; --limit shows more", err=True)


@webhooks.command()
@click.argument("delivery_id", metavar="ID")
@_common
def show(delivery_id: str, config: Path, as_json: bool) -> None:
    """Show a delivery with its event. ID is a delivery's or an event's (webhook-id)."""
    found = _find(configured(config), [delivery_id])
    shown = [{**listed(delivery), "event": json.loads(delivery.body)} for delivery in found]
    if as_json:
        _print_json(shown[0] if len(shown) == 1 else shown)
        return
    for one in shown:
        event = one.pop("event")
        for name, value in one.items():
            click.echo(f"{name + ':':12} {'-' if value is None else value}")
        _print_json(event)


@webhooks.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--dead", is_flag=True, help="All that are dead, to targets that are configured.")
@click.option("--target", help="With --dead: only those to this target.")
@_common
def retry(ids: tuple[str, ...], dead: bool, target: str | None, config: Path, as_json: bool) -> None:
    """Deliver again, with a fresh schedule: dead, waiting or delivered ones."""
    if dead and ids:
        raise click.UsageError("name deliveries or give --dead, not both")
    if not dead and not ids:
        raise click.UsageError("name deliveries, or give --dead")
    if target is not None and not dead:
        raise click.UsageError("--target goes with --dead")
    settings = configured(config)
    if dead:
        count = _retry_dead(settings, target)
    else:
        found = _find(settings, ids)
        _check_taken(settings, {delivery.target for delivery in found})
        count = _steer(settings, lambda steering: steering.retry(found, time.time()))
        target = None
    _tell(as_json, "retried", count)
    for name in _steer(settings, lambda steering: steering.disabled()):
        if target in (None, name):
            click.echo(
                f"{name} is disabled: `rtserver webhooks enable {name}` lets it be delivered to", err=True
            )


@webhooks.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@_common
def drop(ids: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Forget deliveries, whatever their state."""
    settings = configured(config)
    found = _find(settings, ids)
    _tell(as_json, "dropped", _steer(settings, lambda steering: steering.drop(found)))


@webhooks.command()
@click.argument("target")
@_common
def enable(target: str, config: Path, as_json: bool) -> None:
    """Deliver again to a target that answered 410 Gone. Its dead deliveries stay dead until they are retried."""
    settings = configured(config)
    _check_target(settings, target)
    was_disabled = _steer(settings, lambda steering: steering.enable(target))
    if as_json:
        _print_json({"target": target, "was_disabled": was_disabled})
    else:
        click.echo(f"{target} is enabled" if was_disabled else f"{target} was not disabled")


def _retry_dead(settings: Config, target: str | None) -> int:
    """Retry what is dead, of targets that are configured: nobody delivers to others, and it would wait for ever."""
    names = [known.name for known in settings.webhooks.targets]
    if target is not None and target not in names:
        if _steer(settings, lambda steering: steering.listed("dead", target, 1)):
            _check_taken(settings, {target})
        _check_target(settings, target)

    async def retry_all(steering: Steering) -> int:
        now = time.time()
        return sum([await steering.retry_dead(name, now) for name in names if target in (None, name)])

    return _steer(settings, retry_all)


def _check_taken(settings: Config, targets: Collection[str]) -> None:
    """Refuse to deliver to a target that no server delivers to."""
    gone = sorted(set(targets) - {known.name for known in settings.webhooks.targets})
    if gone:
        raise click.ClickException(
            f"nobody delivers to {', '.join(gone)}, which the configuration does not have: put it back, or forget"
            " what it was to get with `rtserver webhooks drop`"
        )


def _find(settings: Config, ids: Sequence[str]) -> list[Delivery]:
    """Return the deliveries with these ids; complain about every id that is unknown."""

    async def find(steering: Steering) -> list[Sequence[Delivery]]:
        return [await steering.find(one) for one in ids]

    found = _steer(settings, find)
    unknown = [one for one, deliveries in zip(ids, found, strict=True) if not deliveries]
    if unknown:
        raise click.ClickException("there is no delivery " + ", ".join(unknown))
    return [delivery for deliveries in found for delivery in deliveries]


def _steer(settings: Config, what: Callable[[Steering], Awaitable[_T]]) -> _T:
    async def go() -> _T:
        async with _steering(settings) as steering:
            return await what(steering)

    try:
        return asyncio.run(go())
    except StoreError as error:
        raise click.ClickException(str(error)) from None


@contextlib.asynccontextmanager
async def _steering(settings: Config) -> AsyncIterator[Steering]:
    # Imported here: --help needs no database library.
    from rtserver.store.opening import open_steering  # noqa: PLC0415

    async with open_steering(settings.store.url) as steering:
        yield steering


def _check_target(settings: Config, target: str | None) -> None:
    names = [known.name for known in settings.webhooks.targets]
    if target is not None and target not in names:
        known = f"the targets are {', '.join(names)}" if names else "there are none in the configuration"
        raise click.ClickException(f"there is no target {target!r}; {known}")


def _line(delivery: Delivery, width: int) -> str:
    said = f"  {delivery.error}" if delivery.error else ""
    attempts = f"{delivery.attempts} attempt{'' if delivery.attempts == 1 else 's'}"
    return (
        f"{delivery.id:{width}}  {delivery.type:19}  {delivery.state:9}  {attempts:11}"
        f"  {iso_timestamp(delivery.created_at)}{said}"
    )


def _tell(as_json: bool, verb: str, count: int) -> None:
    if as_json:
        _print_json({verb: count})
    else:
        click.echo(f"{verb}: {count}")


def _print_json(value: Any) -> None:
    # Half a character, which JSON can hold and no terminal can show, as its number.
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo(text.encode("utf-8", "backslashreplace").decode())
