"""Speed and size, as ratios and curves within one run: `make bench`. docs/benchmarks.md says what each line means."""
