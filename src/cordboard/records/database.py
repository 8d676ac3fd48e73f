"""Opening the database of the record: engine, SQLite's manners, migrations.

SQLite runs in WAL mode with ``synchronous=NORMAL``: a commit survives the death of the process; the death of the
machine may lose the last commits but never damages the file. PostgreSQL is reached through asyncpg.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cordboard.records.settings import DEFAULT_DATABASE

MIGRATIONS = Path(__file__).parent / "migrations"
# One upgrade at a time where several nodes start on one PostgreSQL. The number is arbitrary and ours alone.
MIGRATION_LOCK = 7_231_940_518


class DatabaseUrlError(ValueError):
    """The database URL names a database that the record cannot live in."""


def normalise(url: str) -> str:
    """``sqlite:///…`` and ``postgresql://…`` get their asynchronous drivers. Raises :class:`DatabaseUrlError`."""
    try:
        parsed = make_url(url)
    except Exception as error:
        raise DatabaseUrlError("database.url: not a database URL") from error
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        driver = "sqlite+aiosqlite"
    elif backend in ("postgresql", "postgres"):
        driver = "postgresql+asyncpg"
    else:
        raise DatabaseUrlError(f"database.url: {backend} is not supported (sqlite or postgresql)")
    return parsed.set(drivername=driver).render_as_string(hide_password=False)


def open_engine(url: str = DEFAULT_DATABASE, *, busy_timeout: float = 1.0) -> AsyncEngine:
    """An engine for `url`; the folder of an SQLite file is created. Nothing is connected yet."""
    normal = normalise(url)
    parsed = make_url(normal)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(normal, pool_size=5, max_overflow=5, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(normal, connect_args={"timeout": busy_timeout})

    @event.listens_for(engine.sync_engine, "connect")
    def pragmas(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine


async def migrate(engine: AsyncEngine) -> None:
    """Bring the tables to the newest version."""
    async with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
