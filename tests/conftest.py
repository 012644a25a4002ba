"""What all tests share: how hypothesis runs here."""

import os

from hypothesis import settings

# A busy machine must not fail a property for being slow, and CI must be able to repeat what it saw.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
