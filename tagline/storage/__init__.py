"""Where the bytes of photos lie: a directory, or memory."""
