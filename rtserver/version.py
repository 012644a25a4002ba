"""The version, where every layer may know it."""

__version__ = "0.1.0"
