"""Settings refuse what would be unsafe, and know the names people use."""

from typing import get_args

import pytest
from pydantic import ValidationError

from o.errors import NotFound
from o.llm.providers.providers import Providers
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from sandbox.packages import TIMEOUT_S
from server.up.environment import of_children
from workflows.options import TOOL_TIMEOUT


def test_listening_off_loopback_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O_HOST", "0.0.0.0")
    with pytest.raises(ValidationError, match="O_API_TOKEN"):
        Settings()
    monkeypatch.setenv("O_API_TOKEN", "secret")
    assert Settings().host == "0.0.0.0"
    assert "secret" not in repr(Settings())


def test_familiar_names_are_accepted_and_ours_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "theirs:7233")
    assert Settings().temporal_address == "theirs:7233"
    monkeypatch.setenv("O_TEMPORAL_ADDRESS", "ours:7233")
    assert Settings().temporal_address == "ours:7233"


def test_a_handle_goes_to_the_provider_it_names_with_the_whole_rest_as_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OLLAMA_BASE_URL", "http://127.0.0.1:2")
    providers = Providers(ProviderSettings())
    provider, model = providers.resolve("openai/vendor/model:7b")
    assert (provider.base_url, model) == ("http://127.0.0.1:1/v1", "vendor/model:7b")
    assert providers.resolve("ollama/llama3")[0].wire == "ollama"
    for handle in ("anthropic/claude", "openai/", "openai", ""):
        with pytest.raises(NotFound):
            providers.resolve(handle)


def test_lists_reach_the_children_as_they_were_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O_OUTBOUND_ALLOW", "10.0.0.0/8, hooks.lan:9000")
    env = of_children(Settings())
    monkeypatch.setenv("O_OUTBOUND_ALLOW", env["O_OUTBOUND_ALLOW"])
    assert Settings().outbound_allow == ("10.0.0.0/8", "hooks.lan:9000")


@pytest.mark.parametrize("rate", ["20/second", "600/minute", "9000/hour"])
def test_a_rate_reaches_the_children_as_it_was_set(
    monkeypatch: pytest.MonkeyPatch, rate: str
) -> None:
    monkeypatch.setenv("O_RATE_LIMIT", rate)
    assert of_children(Settings())["O_RATE_LIMIT"] == rate


@pytest.mark.parametrize(
    "networks",
    [
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1,128.0.0.0/1",
        "10.0.0.0/8,0.0.0.0/4",
        "2000::/5",
        "2000::/6,2400::/6",
        "2600::/12",  # of North America
        "::/8",
        "::ffff:0:0/96",
        "::ffff:0:0/100,10.0.0.0/8",
        "::ffff:0.0.0.0/97,::ffff:128.0.0.0/97",
        "64:ff9b::/96",
        ",".join(f"{n}.0.0.0/8" for n in range(16)),
    ],
)
def test_proxies_are_not_everybody_in_pieces(
    monkeypatch: pytest.MonkeyPatch, networks: str
) -> None:
    monkeypatch.setenv("O_TRUSTED_PROXIES", networks)
    with pytest.raises(ValidationError, match="nearly everybody"):
        Settings()
    ours = ("10.0.0.0/8", "172.16.0.0/12", "fc00::/7", "fe80::/10", "2a06:98c0::/29", "240e::/18")
    monkeypatch.setenv("O_TRUSTED_PROXIES", ",".join(ours))
    assert Settings().trusted_proxies == ours


def test_a_proxy_that_is_spelled_in_ipv6_is_the_one_of_ipv4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("O_TRUSTED_PROXIES", "::ffff:10.0.0.7,::ffff:172.16.0.0/108")
    assert Settings().trusted_proxies == ("10.0.0.7/32", "172.16.0.0/12")


@pytest.mark.parametrize("unit", ["RUNS_DAYS", "AUDIT_DAYS", "USAGE_DAYS", "PACKAGES_DAYS"])
@pytest.mark.parametrize("span", ["1e-12", "0.0006", "nan", "inf", "-1", "36501"])
def test_nothing_is_removed_while_clients_still_come_back_for_it(
    monkeypatch: pytest.MonkeyPatch, unit: str, span: str
) -> None:
    monkeypatch.setenv(f"O_KEEP_{unit}", span)
    with pytest.raises(ValidationError, match="a minute"):
        Settings()
    monkeypatch.setenv(f"O_KEEP_{unit}", str(60 / 86_400))
    monkeypatch.setenv("O_EVENT_RETENTION_H", str(60 / 3_600))
    assert Settings().retention.events.total_seconds() == pytest.approx(60)
    monkeypatch.setenv("O_EVENT_RETENTION_H", "0.01")
    with pytest.raises(ValidationError, match="a minute"):
        Settings()


@pytest.mark.parametrize("origin", ["example.com", "https://example.com/path", "null", "https:///"])
def test_an_origin_is_scheme_host_and_port(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("O_CORS_ORIGINS", origin)
    with pytest.raises(ValidationError, match="is no origin"):
        Settings()


def test_origins_are_those_of_v1_until_others_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "http://localhost:3000" in Settings().cors_origins
    monkeypatch.setenv("ACCEPTABLE_ORIGINS", "https://a.example/, http://b.example:81")
    assert Settings().cors_origins == ("https://a.example", "http://b.example:81")


@pytest.mark.parametrize("name", ["sandbox_timeout_s", "mcp_call_timeout_s"])
def test_a_tool_may_take_all_the_time_that_it_can_be_given(name: str) -> None:
    most = next(one.le for one in Settings.model_fields[name].metadata if hasattr(one, "le"))
    assert TOOL_TIMEOUT.total_seconds() > most + TIMEOUT_S


def _numbers() -> list[str]:
    """Settings that are numbers."""
    return [
        name
        for name, field in Settings.model_fields.items()
        if {int, float} & {field.annotation, *get_args(field.annotation)}
    ]


@pytest.mark.parametrize("name", _numbers())
@pytest.mark.parametrize("much", ["9" * 30, "inf", "nan"])
def test_a_number_that_makes_no_sense_is_no_setting(name: str, much: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: much})
    assert any(error["loc"] == (name,) for error in refused.value.errors())


@pytest.mark.parametrize("name", ["ping_interval_s", "sweep_interval_s"])
def test_a_pause_that_is_none_is_no_setting(name: str) -> None:
    with pytest.raises(ValidationError, match=r"greater than or equal to 0\.1"):
        Settings.model_validate({name: "1e-9"})
