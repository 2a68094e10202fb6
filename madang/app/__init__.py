"""Settings, wiring, processes, command line: the only layer that knows everything."""
