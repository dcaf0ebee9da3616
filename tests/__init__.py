"""Tests: real app, real database, real files."""
