"""Secrets on their way: read as V1 has them, encrypted as they are stored here."""

from collections.abc import Sequence
from typing import Any

from o.letta.secrets import V1Secret, V1Secrets
from server.letta_import.kind import Context
from server.letta_import.source import Row

UNREADABLE = {
    "no key": "encrypted, and V1's key was not given (O_LETTA_ENCRYPTION_KEY)",
    "another key": "encrypted under another key than the one that was given",
}


def secret_in(context: Context, row: Row, column: str) -> V1Secret:
    """The secret of a row of V1 in `<column>_enc`, or in `<column>` of older releases."""
    return V1Secrets(context.encryption_key).read(row[f"{column}_enc"], row[column])


def sealed(context: Context, text: str | None, *, of: str) -> str | None:
    """A secret as it is stored here; a dry run encrypts nothing, since that may make a key."""
    if text is None or context.is_dry or context.keyring is None:
        return None
    return context.keyring.encrypt(text, of=of)


def digest_without(alias: str, *columns: str) -> str:
    """In SQL, a digest of a row of V1 but for some columns, of whose secrets nothing may be told.

    Their lengths are in it: whoever changes a secret changes `updated_at` too.
    """
    left = "".join(f" - '{column}'" for column in columns)
    lengths = ", ".join(f"length({alias}.{column})" for column in columns)
    return f"md5((to_jsonb({alias}){left})::text || jsonb_build_array({lengths})::text)"


def outside_jsonb(row: str) -> str:
    """In SQL, whether a row has JSON that cannot be `jsonb`: NUL, and halves of characters."""
    low, high = "[dD][89abAB]", "[dD][c-fC-F]"
    odd = rf"\\u0000|\\u{low}..(?!\\u{high})|(?<!\\u{low}..)\\u{high}"
    return f"row_to_json({row})::text ~ '{odd}'"


def marked(digest: str, *secrets: V1Secret) -> str:
    """A digest that is another one once a secret can be read that could not."""
    troubles = [secret.trouble for secret in secrets if secret.trouble]
    return f"{digest}:{','.join(troubles)}" if troubles else digest


def secrets_here(
    context: Context, table: str, columns: Sequence[str], rows: Sequence[Row]
) -> dict[str, Row]:
    """What stands encrypted here of rows of V1 by their ids, where an earlier run could read it."""
    named = ", ".join(columns)
    return {
        row["id"]: row
        for row in context.target.query(
            f"SELECT id, {named} FROM {table} WHERE id = ANY(%(ids)s)",
            {"ids": [row["id"] for row in rows]},
        )
    }


def told_of(column: str, secret: V1Secret, then: str) -> list[str]:
    """What a person is told of a secret that could not be read."""
    if secret.trouble is None:
        return []
    return [f"its {column} is {UNREADABLE[secret.trouble]}: {then}"]


def sendable(text: str | None) -> str | None:
    """A secret as a header can carry it; None for an empty one, and one that no header carries."""
    text = (text or "").strip()
    return text if text and text.isascii() and text.isprintable() else None


def unsent(column: str, secret: V1Secret) -> list[str]:
    """What a person is told of a secret that no header can carry."""
    if not (secret.text or "").strip() or sendable(secret.text) is not None:
        return []
    return [f"its {column} holds characters that no header can carry: give another one"]


def object_in(value: Any) -> dict[str, Any]:
    """A JSON object, empty where it is none."""
    return value if isinstance(value, dict) else {}
