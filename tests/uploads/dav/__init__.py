"""Tests of WebDAV."""
