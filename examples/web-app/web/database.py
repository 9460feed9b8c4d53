"""The way to the database. PGHOST, PGUSER and PGDATABASE say where it is; the password is a secret."""

import pathlib

import psycopg2

MIGRATIONS = pathlib.Path("/app/migrations")
PASSWORD = pathlib.Path("/run/secrets/db_password")


def connect():
    """A connection, within three seconds."""
    return psycopg2.connect(password=PASSWORD.read_text(encoding="utf-8").strip(), connect_timeout=3)


def migrations():
    """The migrations of this image: number and file, in their order."""
    return sorted((int(path.name.split("_")[0]), path) for path in MIGRATIONS.glob("*.sql"))


def version(cursor):
    """Number of the last migration that the database has seen."""
    cursor.execute("SELECT coalesce(max(number), 0) FROM migrations")
    return cursor.fetchone()[0]
