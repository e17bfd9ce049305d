"""What embeds text in a worker: providers, and the model that comes with the server."""

from collections.abc import Callable
from typing import Any, Literal

from temporalio.client import Client

from activities.worker_requests import Asked
from o.domain.archives import Archive
from o.domain.embedding import LOCAL_EMBEDDING
from o.llm.embedding.embeddings import Embedder
from o.llm.embedding.local import (
    MOST_PATIENT,
    LocalEmbedding,
    default_embedding,
    is_installed,
)
from o.llm.embedding.text_embedder import TextModels
from o.llm.providers.provider_rows import ProviderRows
from o.outbound import OutboundGuard
from o.secrets import Keyring
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.database import Database
from o.storage.providers import provider_reader
from o.temporal.embeddings import EmbeddingStarter
from server.sweep.message_embedding import MessageModel


class WorkerEmbedding:
    """The embedding models of one worker, and what they hold open."""

    def __init__(self, settings: Settings, providers: ProviderSettings, database: Database) -> None:
        """Nothing is connected or started yet."""
        keyring = Keyring(settings.data_dir, settings.encryption_key)
        self._embedder = Embedder()
        self._local = LocalEmbedding()
        self._patient = LocalEmbedding(niceness=MOST_PATIENT)
        self.default = default_embedding(providers)
        self._default_wanted = providers.default_embedding
        guard = OutboundGuard(settings.outbound_allow)
        rows = ProviderRows(providers, keyring, provider_reader(database), guard)
        here = is_installed()
        self.models = TextModels(
            rows, self._embedder, self._local.embed if here else None, self.default
        )
        # For messages, of which there are always more, and which no turn is to feel.
        self.patient_models = TextModels(
            rows, self._embedder, self._patient.embed if here else None, self.default
        )

    async def embed_asked(self, asked: Asked) -> dict[str, Any]:
        """Embed `{"texts", "is_query"}` by the local model into `{"vectors"}`, for the API."""
        request = asked.request
        found = await self._local.embed(request["texts"], is_query=request["is_query"])
        return {"vectors": found}

    def of_messages(self, wanted: Literal["auto", "on", "off"]) -> MessageModel:
        """The model that messages are embedded by, as an operator wants it.

        `auto` asks nobody who is outside or wants money: the model that comes with the server.
        """
        if wanted == "off" or (wanted == "auto" and self.default not in {None, LOCAL_EMBEDDING}):
            return MessageModel(None)
        is_missing = self.default is None and self._default_wanted == "auto"
        return MessageModel(self.default, is_known=not is_missing)

    def starter(self, client: Client, task_queue: str) -> Callable[[Archive], None]:
        """What has an archive's passages embedded in a moment, where there is a model for it."""
        embeddings = EmbeddingStarter(client, task_queue)

        def embed_soon(archive: Archive) -> None:
            if archive.embedding is not None or self.default is not None:
                embeddings.soon(archive.id)

        return embed_soon

    async def close(self) -> None:
        """Close the connections, and end the local model's process."""
        await self._embedder.close()
        await self._local.close()
        await self._patient.close()
