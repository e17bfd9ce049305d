"""An archive whose passages get vectors: while some have none, or their model is waited for.

What waits, and how far all is, stands in the database.
"""

from datetime import timedelta

from temporalio import workflow

from workflows import options, text_contract
from workflows.text_contract import ArchiveRef, EmbedOutcome


@workflow.defn(name="Embedding")
class EmbeddingWorkflow:
    """One archive. Its id is `embed-<archive id>`; it ends when nothing is left to do."""

    @workflow.init
    def __init__(self, archive: ArchiveRef) -> None:
        """Nothing is known yet; whoever starts it has found that something waits."""
        self._archive_id = archive.archive_id
        self._failures = archive.failures
        self._done = archive.done
        self._has_more = True
        self._is_changed = False

    @workflow.run
    async def run(self, archive: ArchiveRef) -> None:
        """Work at it until nothing waits; a model that fails is waited for."""
        while self._has_more:
            if workflow.info().get_current_history_length() > options.EVENTS_OF_EMBEDDING:
                again = ArchiveRef(self._archive_id, self._failures, self._done)
                workflow.continue_as_new(again)
            self._has_more = self._is_changed = False
            outcome = await self._embed()
            self._done += outcome.done
            self._has_more = self._has_more or not outcome.is_settled
            self._tell(outcome)
            if outcome.retry_in_s is None:
                self._failures = 0
            else:
                self._failures += 1
                await self._leave_alone(outcome.retry_in_s)

    @workflow.signal
    def passages_added(self) -> None:
        """Passages wait for vectors. A model that has just failed is left alone all the same."""
        self._has_more = True

    @workflow.signal
    def model_changed(self) -> None:
        """The archive has another model, or is to be tried again now."""
        self._has_more = self._is_changed = True
        self._failures = 0

    async def _embed(self) -> EmbedOutcome:
        return await workflow.execute_activity(
            text_contract.embed_passages,
            ArchiveRef(self._archive_id, self._failures, self._done),
            task_queue=options.embedding_queue(workflow.info().task_queue),
            start_to_close_timeout=options.EMBEDDING_TIMEOUT,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.RETRY,
            summary="embed passages",
        )

    async def _leave_alone(self, pause_s: float) -> None:
        """Wait, but not for a model that was changed."""
        try:
            await workflow.wait_condition(
                lambda: self._is_changed,
                timeout=timedelta(seconds=pause_s),
                timeout_summary="leave the model alone",
            )
        except TimeoutError:
            self._has_more = True

    def _tell(self, outcome: EmbedOutcome) -> None:
        model = f" by `{outcome.model}`" if outcome.model else ""
        waits = "" if outcome.retry_in_s is None else "; the model failed and is left alone"
        workflow.set_current_details(f"{self._done} passages embedded{model}{waits}.")
