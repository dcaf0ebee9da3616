"""Running it: health, jobs, first run, the API document."""
