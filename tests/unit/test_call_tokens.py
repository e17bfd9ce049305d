"""The tokens by which tools use this server's own API."""

import re
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from api.app import create_app
from api.edge.call_operations import OPEN_TO_TOOLS
from api.edge.slashes import other_spelling
from o.call_tokens import Call, CallTokens
from o.secrets import Keyring
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from tests.support.document import DOCUMENT

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


_SHUT_NAMES = """
create_chat_completion create_voice_chat_completions create_embeddings generate_completion
generate_tool
retrieve_provider_trace retrieve_usage
import_agent
attach_tool_to_agent detach_tool_from_agent modify_approval_for_tool run_tool_for_agent
create_tool upsert_tool modify_tool delete_tool run_tool_from_source
add_base_tools generate_json_schema search_tools
mcp_create_mcp_server mcp_update_mcp_server mcp_delete_mcp_server
mcp_refresh_mcp_server_tools mcp_run_tool mcp_connect_mcp_server
add_mcp_server test_mcp_server update_mcp_server delete_mcp_server resync_mcp_server_tools
add_mcp_tool execute_mcp_tool
list_providers create_provider retrieve_provider modify_provider delete_provider
check_provider check_existing_provider refresh_provider_models
list_sandbox_configs create_sandbox_config update_sandbox_config delete_sandbox_config
create_custom_local_sandbox_config create_default_local_sandbox_config
create_default_e2b_sandbox_config force_recreate_local_sandbox_venv
list_sandbox_env_vars create_sandbox_env_var update_sandbox_env_var delete_sandbox_env_var
list_orgs create_organization update_organization delete_organization_by_id
list_users create_user update_user delete_user
list_keys create_key revoke_key list_audit_records
"""
_SHUT = frozenset(_SHUT_NAMES.split())
_OTHERS = [
    ("GET", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/metrics"),
    ("POST", "/v1/codec/decode"),
    ("GET", "/v1/agents/../providers/"),
    ("PATCH", "/v1/agents/agent-x/tools/approval/send_mail%0A"),
    ("POST", "/v1/agents/agent-x/tools/approval%2Fsend_mail/run"),
    ("POST", "/v1/agents/agent-x/core-memory/blocks/x/../../../tools/send_mail/run"),
]


def test_of_every_operation_somebody_has_judged_whether_tools_may_use_it() -> None:
    operations = {one["operationId"] for of in DOCUMENT["paths"].values() for one in of.values()}
    assert OPEN_TO_TOOLS.isdisjoint(_SHUT)
    assert operations == OPEN_TO_TOOLS | _SHUT


@pytest.mark.parametrize("password", [None, SecretStr("open sesame")])
async def test_a_token_opens_what_tools_are_for(
    tokens: CallTokens, tmp_path: Path, password: SecretStr | None
) -> None:
    app = create_app(Settings(data_dir=tmp_path, api_token=password), ProviderSettings())
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    good = {"authorization": f"Bearer {tokens.mint(_CALL)}"}
    late = {"authorization": f"Bearer {tokens.mint(_CALL, good_for_s=-1)}"}
    asked = {
        (method.upper(), spelled): one["operationId"]
        for path, item in DOCUMENT["paths"].items()
        for method, one in item.items()
        for spelled in (path, other_spelling(path), f"{path}%0A", path.replace("/v1", "/latest"))
    }
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for (method, path), operation in (asked | dict.fromkeys(_OTHERS)).items():
            address = re.sub(r"{\w+}", "x", path)
            answer = await http.request(method, address, headers=good)
            # Behind the door the application lacks its parts here, and may fail.
            is_open = operation in OPEN_TO_TOOLS
            assert (answer.status_code != 403) is is_open, (method, address, answer.text)
            assert (await http.request(method, address, headers=late)).status_code == 401
