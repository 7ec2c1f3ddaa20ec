"""`python -m candor_cli`: the same as the `candor` command."""

from candor_cli.main import run

if __name__ == "__main__":
    run()
