"""API keys: made once, shown once, kept as salted hashes.

A key is ``cb_<id>_<secret>``. The id finds the row, the secret is compared by its hash in constant time; an unknown id
costs the same comparison.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from sqlalchemy import Column, DateTime, LargeBinary, MetaData, Row, String, Table, insert, select, update

from cordboard.directory.values import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

Scope = Literal["calls:read", "calls:write", "directory:read", "directory:write", "traces:read", "admin"]
SCOPES: tuple[Scope, ...] = ("calls:read", "calls:write", "directory:read", "directory:write", "traces:read", "admin")
DEFAULT_SCOPES: tuple[Scope, ...] = ("calls:read", "calls:write", "directory:read", "directory:write")

metadata = MetaData()
api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("workspace_id", String(128), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("scopes", String(500), nullable=False),
    Column("salt", LargeBinary(16), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    key_id: str
    workspace_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None

    @property
    def prefix(self) -> str:
        """What of the key may be shown."""
        return f"cb_{self.key_id}_…"

    def allows(self, scope: Scope) -> bool:
        return self.revoked_at is None and ("admin" in self.scopes or scope in self.scopes)


class KeyStore(Protocol):
    """Where keys are kept."""

    async def create(
        self, name: str, workspace_id: str = DEFAULT_WORKSPACE, scopes: tuple[Scope, ...] = DEFAULT_SCOPES
    ) -> tuple[ApiKey, str]:
        """A new key and its whole text, which is never seen again. Raises ValueError for a bad name or scope."""
        ...

    async def verify(self, text: str) -> ApiKey | None:
        """The key, where the text is one that is known and not revoked."""
        ...

    async def list(self, workspace_id: str | None = None) -> list[ApiKey]:
        """Keys in the order of their making, revoked ones too; None: of every workspace."""
        ...

    async def revoke(self, key_id: str, workspace_id: str | None = None) -> bool:
        """False where there is no such key, or it is revoked already."""
        ...


_SHAPE = re.compile(r"cb_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


def _hash(salt: bytes, secret: str) -> bytes:
    # The secret has 256 random bits, so that a slow hash would protect nothing and cost every request.
    return hashlib.sha256(salt + secret.encode()).digest()


class SqlKeyStore:
    """The KeyStore in the database: SQLAlchemy Core, in the table `api_keys` of `metadata`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def prepare(self) -> None:
        """Makes the table where it is missing."""
        async with self._engine.begin() as connection:
            await connection.run_sync(metadata.create_all)

    async def create(
        self, name: str, workspace_id: str = DEFAULT_WORKSPACE, scopes: tuple[Scope, ...] = DEFAULT_SCOPES
    ) -> tuple[ApiKey, str]:
        """A new key and its whole text, which is never seen again. Raises ValueError for a bad name or scope."""
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise ValueError("a key needs a name of 1 to 200 printable characters")
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise ValueError(
                f"unknown scope {unknown[0]}; known are {', '.join(SCOPES)}" if unknown else "no scope given"
            )
        secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
        key = ApiKey(secrets.token_hex(8), workspace_id, name.strip(), tuple(scopes), datetime.now(UTC))
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(api_keys).values(
                    key_id=key.key_id,
                    workspace_id=key.workspace_id,
                    name=key.name,
                    scopes=" ".join(key.scopes),
                    salt=salt,
                    hash=_hash(salt, secret),
                    created_at=key.created_at,
                )
            )
        return key, f"cb_{key.key_id}_{secret}"

    async def verify(self, text: str) -> ApiKey | None:
        """The key, where the text is one that is known and not revoked."""
        match = _SHAPE.fullmatch(text)
        key_id, secret = (match[1], match[2]) if match else ("", "")
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(api_keys).where(api_keys.c.key_id == key_id))).one_or_none()
        # An unknown id is compared too, so that the time tells nothing about which ids exist.
        salt, expected = (row.salt, row.hash) if row is not None else (b"\0" * 16, b"\0" * 32)
        same = hmac.compare_digest(_hash(salt, secret), expected)
        return _key(row) if row is not None and same and row.revoked_at is None else None

    async def list(self, workspace_id: str | None = None) -> list[ApiKey]:
        """Keys in the order of their making, revoked ones too; None: of every workspace."""
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
        if workspace_id is not None:
            query = query.where(api_keys.c.workspace_id == workspace_id)
        async with self._engine.connect() as connection:
            return [_key(row) for row in await connection.execute(query)]

    async def revoke(self, key_id: str, workspace_id: str | None = None) -> bool:
        """False where there is no such key, or it is revoked already."""
        query = update(api_keys).where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
        if workspace_id is not None:
            query = query.where(api_keys.c.workspace_id == workspace_id)
        async with self._engine.begin() as connection:
            return bool((await connection.execute(query.values(revoked_at=datetime.now(UTC)))).rowcount)


@asynccontextmanager
async def open_key_store(database_url: str) -> AsyncIterator[SqlKeyStore]:
    """The keys of `database.url`, for commands without a server; makes the folder of the database at need."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.ext.asyncio import create_async_engine

    url = make_url(database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url)
    try:
        store = SqlKeyStore(engine)
        await store.prepare()
        yield store
    finally:
        await engine.dispose()


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        row.key_id, row.workspace_id, row.name, tuple(row.scopes.split()), _utc(row.created_at), _utc(row.revoked_at)
    )


@overload
def _utc(moment: datetime) -> datetime: ...
@overload
def _utc(moment: None) -> None: ...
def _utc(moment: datetime | None) -> datetime | None:
    """SQLite forgets the zone; what is written is always UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
