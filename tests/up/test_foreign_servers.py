"""Commands that are led to a server that is none of O: a line soon, whatever it does."""

from pathlib import Path

import pytest

from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server import doctor, status
from server.api_client.answers import NoAnswer, ask
from server.doctor import examine
from tests.support.foreign_server import (
    blank_body,
    blank_heads,
    endless_body,
    foreign_server,
    whole,
)
from tests.up.test_commands import o, the_line

ENDLESS = {"heads": blank_heads, "body": blank_body, "much": endless_body}
DEEP = b"[" * 200_000
STRANGE = {
    "much": endless_body,
    "deep": whole(DEEP),
    "deep refusal": whole(b'{"detail":' + DEEP, b"422 No"),
    "a page": whole(b"<!doctype html>"),
    "a list": whole(b"[]"),
    "a word": whole(b'"ok"'),
    "nothing": lambda send, over: None,
    "no HTTP": lambda send, over: send(b"220 mail.example.com ESMTP\r\n"),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_what_does_not_end_its_answer_is_waited_for_so_long_and_no_longer(kind: str) -> None:
    with (
        foreign_server(ENDLESS[kind]) as port,
        pytest.raises(NoAnswer, match=r"does not answer within 1 s|has no end"),
    ):
        await ask(f"http://127.0.0.1:{port}/v1/health/", within_s=1)


@pytest.mark.parametrize("kind", ENDLESS | STRANGE)
def test_the_doctor_takes_another_server_for_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(doctor, "_GLANCE_S", 0.5)
    with foreign_server((ENDLESS | STRANGE)[kind]) as port:
        settings = Settings(data_dir=tmp_path, port=port, sandbox_backend="unsafe-subprocess")
        found = examine(settings, ProviderSettings(_env_file=None))
    (bad,) = [one for one in found if one.level == "bad"]
    assert bad.what == f"port {port} on 127.0.0.1 is taken"


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("command", ["status", "ingest folder .", "export agent --all --to out"])
def test_a_command_that_is_led_to_another_server_says_so_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, kind: str
) -> None:
    with foreign_server(STRANGE[kind]) as port:
        url = f"http://127.0.0.1:{port}"
        line = the_line(o(*command.split(), O_BASE_URL=url, O_DATA_DIR=str(tmp_path)))
    assert url in line
    assert not (tmp_path / "out").exists()


FIGURES = {
    "no version": 'o_process_up{process="a"} 1\no_build_info 1\no_workers 1',
    "no number": 'o_process_up{process="a"} 1\no_workers NaN',
    "no end": 'o_process_up{process="a"} 1\nprocess_resident_memory_bytes{process="a"} +Inf',
    "no part": 'o_process_up{process="a"} 1\no_turn_part_seconds_sum 1',
    "no text": "\xff",
}


@pytest.mark.parametrize("kind", FIGURES)
async def test_figures_that_are_none_are_another_servers(kind: str) -> None:
    with foreign_server(whole(FIGURES[kind].encode("latin-1"))) as port:
        found = await status.look(Settings(), f"http://127.0.0.1:{port}")
    assert found.problem == "what answers there is no server of O"


def test_what_others_name_writes_no_lines_and_moves_no_cursor(tmp_path: Path) -> None:
    nasty = "O_API_TOKEX\nok    all is well\x1b[2J"
    given = {"O_DATA_DIR": str(tmp_path), "O_PORT": "0", "O_SANDBOX_BACKEND": "unsafe-subprocess"}
    said = o("doctor", **given, **{nasty: "1"}).stdout
    assert "O_API_TOKEX\\nok    all is well\\x1b[2J in the environment is no setting" in said
    up = 'o_process_up{process="a\\nb\x1b[2J"} 1\no_build_info{version="1\x1b[2J"} 1\n'
    with foreign_server(whole(up.encode())) as port:
        said = o("status", "--url", f"http://127.0.0.1:{port}").stdout
    assert "\x1b" not in said
    assert "a\\nb\\x1b[2J" in said
    done = o("export", "agent", "x", "--to", str(tmp_path), "--url", "http://[\x1b[2J")
    assert "\x1b" not in done.stderr
