"""The command line: a thin client of the services, which it can also run around itself."""
