"""Following what changes, and edits made offline."""
