"""The photo library: scan, lines, search, streaming."""
