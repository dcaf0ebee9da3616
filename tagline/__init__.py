"""Tagline: a home server for photos and the words that go with them."""

__version__ = "0.1.0"
