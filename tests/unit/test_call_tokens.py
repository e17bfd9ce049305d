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


_ANSWERS = {
    ("GET", "/v1/agents/"): 500,  # past the door: the application has no parts here
    ("POST", "/v1/agents/agent-x/messages"): 500,
    ("GET", "/latest/blocks"): 500,
    ("GET", "/v1/tools/count"): 500,
    ("POST", "/v1/tools/"): 403,
    ("PUT", "/v1/tools/"): 403,
    ("POST", "/v1/tools/run"): 403,
    ("GET", "/v1/providers/"): 403,
    ("GET", "/v1/agents/../providers/"): 403,
    ("GET", "/v1/sandbox-config/"): 403,
    ("POST", "/v1/mcp-servers/"): 403,
    ("GET", "/v1/admin/users"): 403,
    ("POST", "/v1/embeddings"): 403,
    ("GET", "/openapi.json"): 403,
    ("GET", "/"): 403,
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
        for (method, path), status in _ANSWERS.items():
            answer = await http.request(method, path, headers=good)
            assert answer.status_code == status, (method, path, answer.text)
            assert (await http.request(method, path, headers=late)).status_code == 401
