"""An organization whose messages get vectors: while some wait, or their model is waited for.

What waits, and how far all is, stands in the database. Nobody tells it of new messages: the
sweeper starts it again where some wait, when the turns that they are of are over.
"""

from datetime import timedelta

from temporalio import workflow

from workflows import options, text_contract
from workflows.text_contract import EmbedOutcome, MessagesRef


@workflow.defn(name="MessageEmbedding")
class MessageEmbeddingWorkflow:
    """The messages of one organization. Its id is `embed-messages-<organization id>`."""

    @workflow.run
    async def run(self, messages: MessagesRef) -> None:
        """Work at them until none waits; a model that fails is left alone for a while."""
        failures, done = messages.failures, messages.done
        while True:
            if workflow.info().get_current_history_length() > options.EVENTS_OF_EMBEDDING:
                workflow.continue_as_new(MessagesRef(messages.organization_id, failures, done))
            outcome = await self._embed(MessagesRef(messages.organization_id, failures, done))
            done += outcome.done
            _tell(outcome, done)
            if outcome.retry_in_s is not None:
                failures += 1
                await workflow.sleep(
                    timedelta(seconds=outcome.retry_in_s), summary="leave the model alone"
                )
            elif outcome.is_settled:
                return
            else:
                failures = 0

    async def _embed(self, messages: MessagesRef) -> EmbedOutcome:
        return await workflow.execute_activity(
            text_contract.embed_messages,
            messages,
            task_queue=options.embedding_queue(workflow.info().task_queue),
            start_to_close_timeout=options.EMBEDDING_TIMEOUT,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.RETRY,
            summary="embed messages",
        )


def _tell(outcome: EmbedOutcome, done: int) -> None:
    model = f" by `{outcome.model}`" if outcome.model else ""
    waits = "" if outcome.retry_in_s is None else "; the model failed and is left alone"
    workflow.set_current_details(f"{done} messages embedded{model}{waits}.")
