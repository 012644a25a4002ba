"""What all tests share: how hypothesis runs here, and what keeps many processes from doing the same work again."""

import gc
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.acceptance.harness.postgres import Postgres

# A busy machine must not fail a property for being slow, and CI must be able to repeat what it saw.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

# Containers like to forbid what is compiled to be kept. Every worker would compile the tests, and every server itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Thousands of tests are collected, all of them stay, and walking over them at every collection of garbage is dear.
gc.disable()


def pytest_collection_finish() -> None:
    """Let the collector look at what tests leave behind, and no more at the tests themselves."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Thaw what was frozen, so that the end finds what was left open."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Postgres]":
    """The one PostgreSQL server of this process, started when the first test asks for it."""
    from tests.acceptance.harness import postgres as harness

    programs = harness.programs()
    if programs is None:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(harness.MISSING, pytrace=False)
        pytest.skip(harness.MISSING)
    server = harness.Postgres(programs)
    yield server
    server.close()


@pytest.fixture
def database(postgres: "Postgres") -> str:
    """The URL of a fresh database of PostgreSQL."""
    return postgres.database()
