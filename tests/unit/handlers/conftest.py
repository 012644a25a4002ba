"""Fixtures of the handlers' tests."""

import pytest

from tests.unit.handlers.table import Table


@pytest.fixture
def table() -> Table:
    """A server with defaults."""
    return Table()
