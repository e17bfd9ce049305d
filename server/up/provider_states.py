"""How the providers stand, as `o up` and `o doctor` tell it: the environment's and the stored."""

import asyncio
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from o.errors import OError
from o.ids import DEFAULT_ORGANIZATION_ID
from o.llm.providers.catalogue import Catalogue, ProviderState
from o.llm.providers.provider_rows import ProviderRows
from o.llm.providers.providers import Providers
from o.outbound import OutboundGuard
from o.secrets import Keyring
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.database import Database
from o.storage.providers import provider_reader

_TIMEOUT_S = 10


@dataclass(frozen=True)
class ToldState:
    """How a provider stands, and whether one of the environment by its name is not used for it."""

    state: ProviderState
    shadows: bool = False


async def provider_states(
    settings: Settings, providers: ProviderSettings, database_url: str | None
) -> list[ToldState]:
    """Ask all providers of the default organization, as the API does, within seconds.

    Args:
        settings: Where keys of stored providers are.
        providers: Those of the environment.
        database_url: Where rows are; where it is None or does not answer, there are none.
    """
    environment = Providers(providers)
    if database_url is None:
        return [ToldState(state) for state in await Catalogue(environment).survey()]
    try:
        database = Database(database_url, pool_size=1, name="o-providers")
    except OError:  # no address of a database, which is told of elsewhere
        return await provider_states(settings, providers, None)
    keyring = Keyring(settings.data_dir, settings.encryption_key)
    guard = OutboundGuard(settings.outbound_allow)
    rows = ProviderRows(providers, keyring, provider_reader(database), guard)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            states = await Catalogue(rows).survey(DEFAULT_ORGANIZATION_ID)
    except (OError, SQLAlchemyError, TimeoutError):
        return await provider_states(settings, providers, None)
    finally:
        await database.close()
    return [ToldState(state, _shadows(state, environment)) for state in states]


def _shadows(state: ProviderState, environment: Providers) -> bool:
    provider = state.provider
    return not provider.of_environment and environment.get(provider.name) is not None
