"""Madang, the common platform of a city. Start reading at docs/architecture.md."""

__version__ = "0.1.0"
