"""The tokens by which tools use this server's own API."""

from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from api.app import create_app
from o.call_tokens import Call, CallTokens
from o.secrets import Keyring
from o.settings import ProviderSettings, Settings

_CALL = Call("org-1", "job-1", "agent-1")


@pytest.fixture
def tokens(tmp_path: Path) -> CallTokens:
    return CallTokens(Keyring(tmp_path))


def test_a_token_says_whose_it_is_to_whoever_has_the_key(
    tokens: CallTokens, tmp_path: Path
) -> None:
    token = tokens.mint(_CALL)
    assert CallTokens(Keyring(tmp_path)).read(token) == _CALL
    assert "org-1" not in token


@pytest.mark.parametrize("token", ["call-", "call-o1:x:y", "call-nothing", ""])
def test_what_was_not_made_here_says_nothing(tokens: CallTokens, token: str) -> None:
    tokens.mint(_CALL)
    assert tokens.read(token) is None


def test_a_token_of_another_server_a_changed_one_and_an_old_one_say_nothing(
    tokens: CallTokens, tmp_path: Path
) -> None:
    token = tokens.mint(_CALL)
    assert CallTokens(Keyring(tmp_path / "other", SecretStr("k" * 16))).read(token) is None
    assert tokens.read(token[:-6] + "AAAAAA") is None
    assert tokens.read(tokens.mint(_CALL, good_for_s=-1)) is None


_OPEN = {
    ("GET", "/v1/agents/"): True,
    ("POST", "/v1/agents/agent-x/messages"): True,
    ("GET", "/latest/blocks"): True,
    ("GET", "/v1/tools/count"): True,
    ("POST", "/v1/tools/"): False,
    ("PUT", "/v1/tools/"): False,
    ("POST", "/v1/tools/run"): False,
    ("PATCH", "/v1/agents/agent-x/tools/approval/send_mail"): False,
    ("GET", "/v1/providers/"): False,
    ("GET", "/v1/agents/../providers/"): False,
    ("GET", "/v1/sandbox-config/"): False,
    ("POST", "/v1/mcp-servers/"): False,
    ("GET", "/v1/admin/users"): False,
    ("POST", "/v1/embeddings"): False,
    ("GET", "/openapi.json"): False,
    ("GET", "/"): False,
}


@pytest.mark.parametrize("password", [None, SecretStr("open sesame")])
async def test_a_token_opens_what_tools_are_for(
    tokens: CallTokens, tmp_path: Path, password: SecretStr | None
) -> None:
    app = create_app(Settings(data_dir=tmp_path, api_token=password), ProviderSettings())
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    good = {"authorization": f"Bearer {tokens.mint(_CALL)}"}
    late = {"authorization": f"Bearer {tokens.mint(_CALL, good_for_s=-1)}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for (method, path), is_open in _OPEN.items():
            answer = await http.request(method, path, headers=good)
            # Behind the door the application lacks its parts here, and may fail.
            assert (answer.status_code != 403) == is_open, (method, path, answer.text)
            assert (await http.request(method, path, headers=late)).status_code == 401
