"""Tells Temporal that messages of an organization wait for their vectors."""

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from o.domain.embedding import message_embedding_execution
from workflows import options
from workflows.message_embedding import MessageEmbeddingWorkflow
from workflows.text_contract import MessagesRef


async def start_message_embedding(client: Client, task_queue: str, organization_id: str) -> None:
    """Start the workflow of an organization's messages, unless it runs.

    Raises:
        RPCError: Temporal is away.
    """
    await client.start_workflow(
        MessageEmbeddingWorkflow.run,
        MessagesRef(organization_id),
        id=message_embedding_execution(organization_id),
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        task_timeout=options.TASK_TIMEOUT,
        static_summary="embed messages",
    )
