"""The environment that the supervisor's children get. The only reader of its own, to copy it."""

import os
from pathlib import Path

from pydantic import SecretStr

from o.rates import Rate
from o.settings.all import Settings

_FOREIGN = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")


def of_foreign_programs() -> dict[str, str]:
    """What PostgreSQL and Temporal see: no key, and no variable that would change their ways."""
    return {name: os.environ[name] for name in _FOREIGN if name in os.environ}


def of_children(settings: Settings, local_model_url: str | None = None) -> dict[str, str]:
    """What O's own processes see: the operator's environment, and `settings` as they are now."""
    env = dict(os.environ)
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is not None:
            env[f"O_{name.upper()}"] = _text(value)
    if settings.database_url is not None:
        env["DATABASE_URL"] = settings.database_url.get_secret_value()
    if settings.temporal_address is not None:
        env["TEMPORAL_ADDRESS"] = settings.temporal_address
    if local_model_url is not None:
        env["O_LOCAL_MODEL_URL"] = local_model_url
    env["O_METRICS_PORT"] = ""  # the API shows what the workers measure
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # it would cost every start half as much again
    return env


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple) and not isinstance(value, Rate):
        return ",".join(map(str, value))
    return str(value.resolve()) if isinstance(value, Path) else str(value)
