"""The names in the workflow's contract are those of real activities, with the same types."""

import inspect

import pytest
from temporalio import activity

from activities.embedding.messages import MessageEmbeddingActivities
from activities.embedding.passages import EmbeddingActivities
from activities.ingestion import IngestionActivities
from activities.runs import RunActivities
from activities.steps import StepActivities
from activities.tools import ToolActivities
from workflows import contract, text_contract


@pytest.mark.parametrize(
    ("stub", "real"),
    [
        (contract.take_step, StepActivities.take_step),
        (contract.run_tool, ToolActivities.run_tool),
        (contract.close_run, RunActivities.close_run),
        (text_contract.embed_passages, EmbeddingActivities.embed_passages),
        (text_contract.embed_messages, MessageEmbeddingActivities.embed_messages),
        (text_contract.ingest_file, IngestionActivities.ingest_file),
    ],
)
def test_an_activity_has_the_name_and_types_of_its_stub(stub: object, real: object) -> None:
    def shape(function: object) -> tuple[object, list[object], object]:
        signature = inspect.signature(function)  # type: ignore[arg-type]
        types = [p.annotation for name, p in signature.parameters.items() if name != "self"]
        name = activity._Definition.must_from_callable(function).name  # type: ignore[arg-type]
        return name, types, signature.return_annotation

    assert shape(stub) == shape(real)
