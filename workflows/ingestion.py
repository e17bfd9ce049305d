"""A file that is read, cut into passages and stored: from its upload until they wait for vectors.

What came of it stands at the file; the vectors are the archive's workflow's.
"""

from temporalio import workflow

from workflows import options, text_contract
from workflows.text_contract import FileRef


@workflow.defn(name="Ingestion")
class IngestionWorkflow:
    """One file. Its id is `ingest-<file id>`."""

    @workflow.run
    async def run(self, file: FileRef) -> None:
        """Have it read. One that cannot be read is no failure of the workflow's."""
        workflow.set_current_details("The file is read, or waits for its turn.")
        outcome = await workflow.execute_activity(
            text_contract.ingest_file,
            file,
            task_queue=options.file_queue(workflow.info().task_queue),
            start_to_close_timeout=options.FILE_TIMEOUT,
            heartbeat_timeout=options.HEARTBEAT_TIMEOUT,
            retry_policy=options.RETRY,
            summary="read a file",
        )
        workflow.set_current_details(f"{outcome.status}: {outcome.passages} passages.")
