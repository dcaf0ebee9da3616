"""What the bytes of photos mean: formats, metadata, thumbnails. No HTTP, no SQL."""
