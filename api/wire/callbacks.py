"""V1's spelling of sends that are answered at once, and of what tells how they ended."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from api.wire.answers import answer_body, closing_of
from api.wire.fields import Text
from api.wire.messages import MessageView
from api.wire.runs import RunBody
from api.wire.turns import SendBody
from o.domain.runs import Run, RunEvent, RunOptions


def _can_be_called(url: str) -> str:
    parts = urlsplit(url)  # raises ValueError when the address is malformed
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("give a URL with http or https and a host")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError("a URL has neither spaces nor control characters")
    return url


CallbackUrl = Annotated[Text, Field(max_length=2_000), AfterValidator(_can_be_called)]
"""Where a POST goes once what was asked for is finished."""


class AsyncBody(SendBody):
    """V1's `LettaAsyncRequest`. What is about streams is ignored."""

    callback_url: CallbackUrl | None = None

    def to_options(self, *, streams: bool) -> RunOptions:
        """What the run keeps of the request: it is in the background, whatever the body says."""
        kept = super().to_options(streams=streams)
        return kept.model_copy(update={"background": True, "run_type": "send_message_async"})


def callback_body(run: Run, events: Sequence[RunEvent]) -> dict[str, Any]:
    """What a callback is sent: how the run ended, and in `metadata.result` its JSON answer.

    Args:
        run: At rest.
        events: Its whole log.
    """
    config = run.options.request_config
    shown = RunBody.of(run).model_dump(mode="json")
    result = answer_body(
        events, closing_of(events), config.include_return_message_types, MessageView.of(config)
    )
    return {
        "run_id": run.id,
        "status": shown["status"],
        "completed_at": shown["completed_at"],
        "metadata": shown["metadata"] | {"result": result},
    }
