"""The encryption keys of a backup's secrets: what must be at hand where it is restored."""

from o.errors import Conflict
from o.secrets import FILE, Keyring, names_of
from o.settings.all import Settings
from server.backup.file import Header, Totals


def keyring_of(settings: Settings) -> Keyring:
    """The keys that this machine has; none is made."""
    return Keyring(settings.data_dir, settings.encryption_key)


_IN_CLEAR = (
    "It holds all conversations, memory and files in clear: keep it as you keep the database."
)
_NONE_STORED = "Nothing in it is encrypted: no keys of providers, tokens or variables were stored."


def words_for(totals: Totals, header: Header, settings: Settings) -> list[str]:
    """What anybody can read in a backup, and what must be kept beside it to read its secrets."""
    return [_IN_CLEAR, *_of_secrets(totals, header, settings)]


def _of_secrets(totals: Totals, header: Header, settings: Settings) -> list[str]:
    if not totals.sealed_by:
        return [_NONE_STORED]
    if header.keys and not (lacking := keys_lacking(totals, header)):
        return ["IT HOLDS THE ENCRYPTION KEY OF ITS SECRETS: whoever has it can read them all."]
    if header.keys:
        return [
            "IT HOLDS ENCRYPTION KEYS, AND NOT THOSE OF ALL ITS SECRETS: some are under a key that "
            f"is not here either ({', '.join(lacking)})."
        ]
    if settings.encryption_key is not None:
        where, told = "O_ENCRYPTION_KEY", "Set the same before `o restore`."
    else:
        where = f"the file {keyring_of(settings).file}"
        told = f"Copy it to NEW/{FILE} before `o restore --data-dir NEW`."
    return [
        f"ITS SECRETS (keys of providers, tokens, variables) ARE READ WITH {where} ALONE,",
        "which is not in it: keep that in another place, or they are lost "
        f"(key {', '.join(totals.sealed_by)}).",
        told,
    ]


def keys_lacking(totals: Totals, header: Header) -> list[str]:
    """Names of the keys that are not in a backup, and by which secrets in it are encrypted."""
    there = names_of(header.keys)
    return [name for name in totals.sealed_by if name not in there]


def check_keys(
    totals: Totals, header: Header, settings: Settings, *, without_key: bool
) -> list[str]:
    """Make sure that the secrets of a backup can be read where it is restored.

    Args:
        totals: What it holds.
        header: What it says of itself.
        settings: Where keys are here.
        without_key: Whether it is restored although some of them cannot be read.

    Returns:
        The keys that are to be kept here, because only the backup has them.

    Raises:
        Conflict: Nobody has them, or this machine has others.
    """
    here = keyring_of(settings)
    missing = [name for name in totals.sealed_by if name not in here.names()]
    kept = header.keys if missing and not here.names() else []
    lost = [name for name in missing if name not in names_of(kept)]
    if not lost or without_key:
        return kept
    told = (
        "set O_ENCRYPTION_KEY as it was where the backup was taken, or, where it was not set, "
        f"copy the file {FILE} of that data directory to {here.file}"
    )
    if not set(lost).intersection(keys_lacking(totals, header)):
        told = "this machine has a key of its own; take O_ENCRYPTION_KEY, or its file, away"
    raise Conflict(
        f"the secrets in the backup were encrypted with a key that is not here "
        f"({', '.join(lost)}): {told}, or say --without-key to restore everything else"
    )
