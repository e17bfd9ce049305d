"""Which messages are embedded, and by which model."""

from pathlib import Path
from typing import Literal

import pytest

from o.domain.embedding import LOCAL_EMBEDDING, is_worth_embedding
from o.llm.embedding import local
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.database import Database
from server.sweep.message_embedding import MessageModel
from server.worker.embedding import WorkerEmbedding

_NOBODY = MessageModel(None)


@pytest.mark.parametrize(
    ("wanted", "default", "is_here", "model"),
    [
        ("auto", "auto", True, MessageModel(LOCAL_EMBEDDING)),
        ("auto", LOCAL_EMBEDDING, True, MessageModel(LOCAL_EMBEDDING)),
        ("auto", "openai/text-embedding-3-small", True, _NOBODY),
        ("auto", "none", True, _NOBODY),
        ("auto", "auto", False, MessageModel(None, is_known=False)),
        (
            "on",
            "openai/text-embedding-3-small",
            False,
            MessageModel("openai/text-embedding-3-small"),
        ),
        ("on", "none", True, _NOBODY),
        ("off", "auto", True, _NOBODY),
        ("off", "auto", False, _NOBODY),
    ],
)
async def test_no_model_is_asked_that_nobody_wanted(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    wanted: Literal["auto", "on", "off"],
    default: str,
    is_here: bool,
    model: MessageModel,
) -> None:
    monkeypatch.setattr(local, "is_installed", lambda: is_here)
    monkeypatch.setenv("O_DEFAULT_EMBEDDING", default)
    database = Database("postgresql://o@/o?host=/nowhere")
    embedding = WorkerEmbedding(Settings(data_dir=tmp_path), ProviderSettings(), database)
    assert embedding.of_messages(wanted) == model
    await embedding.close()
    await database.close()


@pytest.mark.parametrize(
    ("said", "is_worth"),
    [
        ("ok", False),
        ("yes, thank you", False),
        ("   \n\t" * 20, False),
        ("", False),
        ("👍👍👍", False),
        ("我住在里昂的山上", True),
        ("I live in Porto.", True),
        ("\ud83d" * 20, True),
        ('{"type": "heartbeat", "reason": "Function called"}', False),
        ('{"type": "login", "last_login": "Never (first login)"}', False),
        ('{"type": "of a person who writes JSON"}', True),
        ("a" * 100_000, True),
    ],
)
def test_what_is_too_short_to_mean_anything_and_events_are_left_out(
    said: str, is_worth: bool
) -> None:
    assert is_worth_embedding(said) == is_worth
