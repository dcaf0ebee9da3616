"""Following what changes, and changing it from afar: the change feed for phones, edits made offline, realtime."""
