"""What the whole service has to withstand: real processes, killed, starved and lied to."""
