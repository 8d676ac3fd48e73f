"""The history of the record's tables (Alembic)."""
