"""Agents whose model nobody can be asked for: no provider is named as its handle begins."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from o.llm.providers.provider_types import variables_of
from o.llm.providers.providers import LOCAL, Providers
from o.settings.providers import ProviderSettings

AGENTS_BY_PROVIDER = """
    SELECT organization_id, provider, count(*) AS agents,
        array_agg(id ORDER BY id) FILTER (WHERE nth <= 3) AS some
    FROM (
        SELECT t.id, t.organization_id, p.name AS provider,
            row_number() OVER (PARTITION BY t.organization_id, p.name ORDER BY t.id) AS nth
        FROM agents AS t, split_part(t.model, '/', 1) AS p(name)
        WHERE t.deleted_at IS NULL AND t.model LIKE '_%/_%' AND t.model NOT LIKE 'letta/%'
            AND NOT EXISTS (
                SELECT FROM providers AS own WHERE own.organization_id = t.organization_id
                    AND own.origin = 'api' AND own.name = p.name)
        {only}
    ) AS lacking
    GROUP BY 1, 2 ORDER BY 1, 2
"""
"""How many agents have models of a provider that is no row here: the environment may bring it."""

_SHOWN = 3


@dataclass(frozen=True)
class Lacking:
    """A provider that agents name and that is not here.

    Attributes:
        name: The first part of the handles.
        agents: How many have a model of it.
        some: The ids of the first of them.
    """

    name: str
    agents: int
    some: tuple[str, ...]

    @property
    def what(self) -> str:
        """What is wrong, for people."""
        more = ", …" if self.agents > len(self.some) else ""
        return (
            f"{self.agents} agents have a model of the provider {self.name!r}, which is not here "
            f"({', '.join(self.some)}{more})"
        )

    @property
    def way_out(self) -> str:
        """What to do about it."""
        if named := variables_of(self.name):
            return f"set {named} where O is started"
        return "make it with POST /v1/providers/, or give them another model"


def lacking_providers(
    rows: Iterable[Mapping[str, Any]], settings: ProviderSettings
) -> Iterator[Lacking]:
    """Those that the environment does not bring either, by name.

    Args:
        rows: As `AGENTS_BY_PROVIDER` has them.
        settings: The environment's providers.
    """
    environment = Providers(settings)
    found: dict[str, Lacking] = {}
    for row in rows:
        name = row["provider"]
        there = "openai" if name == "openai-proxy" else name  # `ProviderSet.resolve`
        if environment.get(there) is not None or there == LOCAL:  # `o up` may bring that one
            continue
        before = found.get(name, Lacking(name, 0, ()))
        some = sorted({*before.some, *row["some"]})[:_SHOWN]
        found[name] = Lacking(name, before.agents + row["agents"], tuple(some))
    yield from (found[name] for name in sorted(found))
