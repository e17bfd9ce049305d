"""The files by which O is put on many machines, read as their programs read them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import AliasChoices

from o.settings.all import Settings
from o.settings.providers import ProviderSettings

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"

_EXPANDED = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


def compose() -> dict[str, Any]:
    """docker-compose.yml, with its anchors resolved and its variables as they stand."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def variables_of(text: str) -> dict[str, str | None]:
    """The variables that a compose file asks for, and their defaults; None where it insists."""
    return {
        name: default if kind == "-" else None for name, kind, default in _EXPANDED.findall(text)
    }


def manifests() -> Iterator[dict[str, Any]]:
    """Every object of the manifests that kustomization.yaml names."""
    for name in kustomization()["resources"]:
        yield from yaml.safe_load_all((KUBERNETES / name).read_text())


def kustomization() -> dict[str, Any]:
    """kustomization.yaml."""
    found: dict[str, Any] = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    return found


def setting_names() -> set[str]:
    """Every environment variable that sets something of O."""
    return set().union(*names_of_each(Settings), *names_of_each(ProviderSettings))


def names_of_each(kind: type[Settings] | type[ProviderSettings]) -> list[set[str]]:
    """The environment variables of each setting, by any of which it is set."""
    return [set(_names(field, info.validation_alias)) for field, info in kind.model_fields.items()]


def _names(field: str, alias: object) -> list[str]:
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [str(alias) if alias else f"O_{field}".upper()]
