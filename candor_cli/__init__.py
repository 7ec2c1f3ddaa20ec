"""The candor command: a client of the services, and the embedded suite."""
