"""What a worker compacts histories with."""

from activities.compact import CompactActivities
from activities.compaction.summaries import Summaries, SummaryLimits, WindowOf
from o.domain.llm import LanguageModel
from o.errors import OError
from o.llm.providers.catalogue import Catalogue
from o.llm.providers.provider_rows import ProviderRows
from o.outbound import OutboundGuard
from o.secrets import Keyring
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.database import Database
from o.storage.providers import provider_reader


def compacting(
    settings: Settings, providers: ProviderSettings, database: Database, model: LanguageModel
) -> CompactActivities:
    """Put it together; providers are asked how much their models read when one is named."""
    keyring = Keyring(settings.data_dir, settings.encryption_key)
    guard = OutboundGuard(settings.outbound_allow)
    rows = ProviderRows(providers, keyring, provider_reader(database), guard)
    limits = SummaryLimits(settings.summary_timeout_s, settings.model_attempts)
    return CompactActivities(
        database, Summaries(model, database, _windows(Catalogue(rows)), limits)
    )


def _windows(catalogue: Catalogue) -> WindowOf:
    async def window_of(organization_id: str, handle: str) -> int | None:
        try:
            return (await catalogue.get(handle, organization_id)).context_window
        except OError:  # whoever asks the model is told what is wrong
            return None

    return window_of
