"""Values that everything else speaks in. Pure: no I/O, no clock, no randomness."""
