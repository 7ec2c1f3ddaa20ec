"""One module a command. Heavy imports stand inside the commands: `candor --help` must be instant."""
