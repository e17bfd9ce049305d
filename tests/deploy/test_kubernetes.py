"""The manifests, held to what the API of Kubernetes takes and to what rollouts need.

No cluster and none of its schemas is at hand, so what of them is used here is written down.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from o.settings.all import STARTUP_PATIENCE_S, Settings
from tests.deploy.files import ROOT, kustomization, manifests, setting_names

_OBJECTS = list(manifests())
_NAMED = {f"{one['kind']}/{one['metadata']['name']}": one for one in _OBJECTS}
_DEPLOYMENTS = {name: one for name, one in _NAMED.items() if one["kind"] == "Deployment"}
_PODS = {
    name: one["spec"]["template"]["spec"]
    for name, one in _NAMED.items()
    if one["kind"] in ("Deployment", "Job")
}
_API = _PODS["Deployment/o-api"]["containers"][0]

_VERSIONS = {
    "Namespace": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "Job": "batch/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
}
# What each part may hold of what Kubernetes knows; strict, so that a slip of the pen is found: the
# server drops what it does not know, or refuses all of it.
_ANY: dict[str, Any] = {}
_SELECTOR = {
    "matchLabels": _ANY,
    "matchExpressions": [{"key": None, "operator": None, "values": None}],
}
_METADATA = {"name": None, "labels": _ANY, "annotations": _ANY}
_QUANTITIES = {"cpu": None, "memory": None, "ephemeral-storage": None}
_PROBE = {
    "httpGet": {"path": None, "port": None},
    "periodSeconds": None,
    "timeoutSeconds": None,
    "failureThreshold": None,
}
_CONTAINER = {
    "name": None,
    "image": None,
    "args": None,
    "envFrom": [{"configMapRef": {"name": None}, "secretRef": {"name": None}}],
    "env": [{"name": None, "value": None, "valueFrom": _ANY}],
    "ports": [{"name": None, "containerPort": None}],
    "startupProbe": _PROBE,
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "lifecycle": {"preStop": {"exec": {"command": None}}},
    "resources": {"requests": _QUANTITIES, "limits": _QUANTITIES},
    "securityContext": {
        "allowPrivilegeEscalation": None,
        "readOnlyRootFilesystem": None,
        "capabilities": {"drop": None},
    },
    "volumeMounts": [{"name": None, "mountPath": None}],
}
_POD = {
    "metadata": _METADATA,
    "spec": {
        "restartPolicy": None,
        "terminationGracePeriodSeconds": None,
        "automountServiceAccountToken": None,
        "enableServiceLinks": None,
        "securityContext": {
            "runAsNonRoot": None,
            "runAsUser": None,
            "runAsGroup": None,
            "fsGroup": None,
            "seccompProfile": {"type": None},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": None,
                "topologyKey": None,
                "whenUnsatisfiable": None,
                "labelSelector": _SELECTOR,
                "matchLabelKeys": None,
            }
        ],
        "containers": [_CONTAINER],
        "volumes": [{"name": None, "emptyDir": {"sizeLimit": None}}],
    },
}
_SPECS = {
    "Deployment": {
        "replicas": None,
        "strategy": {"rollingUpdate": {"maxUnavailable": None, "maxSurge": None}},
        "selector": _SELECTOR,
        "template": _POD,
    },
    "Job": {"backoffLimit": None, "ttlSecondsAfterFinished": None, "template": _POD},
    "Service": {"selector": _ANY, "ports": [{"name": None, "port": None, "targetPort": None}]},
    "PodDisruptionBudget": {
        "maxUnavailable": None,
        "unhealthyPodEvictionPolicy": None,
        "selector": _SELECTOR,
    },
    "NetworkPolicy": {
        "podSelector": _SELECTOR,
        "policyTypes": None,
        "ingress": [
            {
                "ports": [{"port": None}],
                "from": [{"podSelector": _SELECTOR, "namespaceSelector": _SELECTOR}],
            }
        ],
    },
}
_PAGE = (ROOT / "docs" / "operations.md").read_text()
_SECTION = _PAGE.split("### Kubernetes\n")[1].split("\n### ")[0]
_UNITS = {"m": 1e-3, "": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def unknown(found: Any, known: Any, at: str = "") -> Iterator[str]:
    """The places in `found` whose names `known` does not have."""
    if isinstance(known, list):
        assert isinstance(found, list), at
        for one in found:
            yield from unknown(one, known[0], f"{at}[]")
    elif known:
        assert isinstance(found, dict), at
        for name, value in found.items():
            if name not in known:
                yield f"{at}.{name}"
            elif known[name] is not None:
                yield from unknown(value, known[name], f"{at}.{name}")


def amount(quantity: str) -> float:
    """A quantity of Kubernetes as a number."""
    found = re.fullmatch(r"(\d+)(m|Ki|Mi|Gi|)", quantity)
    assert found, quantity
    return int(found[1]) * _UNITS[found[2]]


@pytest.mark.parametrize("name", _NAMED)
def test_an_object_has_only_what_kubernetes_knows(name: str) -> None:
    one = _NAMED[name]
    assert one["apiVersion"] == _VERSIONS[one["kind"]]
    assert set(one) <= {"apiVersion", "kind", "metadata", "spec"}
    assert list(unknown(one["metadata"], _METADATA)) == []
    assert list(unknown(one.get("spec", {}), _SPECS.get(one["kind"], {"": None}))) == []
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", one["metadata"]["name"])


def test_no_object_is_there_twice_and_none_names_a_namespace() -> None:
    assert len(_NAMED) == len(_OBJECTS)
    assert not any("namespace" in one["metadata"] for one in _OBJECTS), "kustomize sets it"
    assert f"Namespace/{kustomization()['namespace']}" in _NAMED


@pytest.mark.parametrize("name", _PODS)
def test_a_pod_meets_the_restricted_standard_that_its_namespace_enforces(name: str) -> None:
    enforced = _NAMED["Namespace/o"]["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = _PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert all(set(volume) == {"name", "emptyDir"} for volume in pod["volumes"])


@pytest.mark.parametrize("name", _PODS)
def test_the_addresses_of_services_do_not_become_settings(name: str) -> None:
    # Kubernetes sets O_PORT=tcp://10.… in every pod beside a service of the name `o`.
    assert _PODS[name]["enableServiceLinks"] is False


@pytest.mark.parametrize("name", _PODS)
def test_what_is_asked_for_is_within_the_limits_and_room_on_disk_is_bounded(name: str) -> None:
    pod = _PODS[name]
    [container] = pod["containers"]
    asked, most = container["resources"]["requests"], container["resources"]["limits"]
    assert set(asked) == {"cpu", "memory", "ephemeral-storage"}
    for kind in most:
        assert amount(asked[kind]) <= amount(most[kind])
    assert "cpu" not in most, "a limit of CPU holds a process up while the machine is idle"
    rooms = sum(amount(volume["emptyDir"]["sizeLimit"]) for volume in pod["volumes"])
    assert rooms < amount(most["ephemeral-storage"])


@pytest.mark.parametrize("name", _DEPLOYMENTS)
def test_a_rollout_or_a_drained_node_takes_nothing_below_what_is_needed(name: str) -> None:
    spec = _DEPLOYMENTS[name]["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    labels = spec["template"]["metadata"]["labels"]
    budgets = [
        one["spec"]
        for one in _OBJECTS
        if one["kind"] == "PodDisruptionBudget" and one["spec"]["selector"]["matchLabels"] == labels
    ]
    assert len(budgets) == 1
    # A least number that stay would keep the node of an only pod from ever being drained, as would
    # a pod that never gets ready.
    assert budgets[0]["maxUnavailable"] == 1
    assert budgets[0]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    spreads = spec["template"]["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"].rpartition("/")[2] for one in spreads} == {"zone", "hostname"}
    for spread in spreads:
        assert spread["labelSelector"]["matchLabels"] == labels
        assert spread["matchLabelKeys"] == ["pod-template-hash"]
        assert spread["whenUnsatisfiable"] == "ScheduleAnyway", "one node is enough to begin with"


def test_an_api_pod_is_out_of_the_service_before_it_stops_and_stops_before_it_is_killed() -> None:
    pod = _PODS["Deployment/o-api"]
    sleep, seconds = _API["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert int(seconds) >= 10, "what sends requests here learns late that it should not"
    left = pod["terminationGracePeriodSeconds"] - int(seconds)
    assert left >= 3 * (Settings.model_fields["drain_s"].default + 1), "it says goodbye for 1 s"


def test_probes_wait_for_the_schema_and_tell_a_slow_database_from_a_dead_process() -> None:
    startup, live, ready = (_API[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness"))
    assert startup["periodSeconds"] * startup["failureThreshold"] > STARTUP_PATIENCE_S + 30
    assert startup["httpGet"]["path"] == live["httpGet"]["path"] == "/v1/health/"
    assert ready["httpGet"]["path"] == "/v1/ready/"
    assert live["periodSeconds"] * live["failureThreshold"] >= 30, "or a busy minute ends it"
    assert ready["timeoutSeconds"] <= ready["periodSeconds"]
    ports = {one["name"] for one in _API["ports"]}
    assert {probe["httpGet"]["port"] for probe in (startup, live, ready)} <= ports


def test_a_worker_that_cannot_start_replaces_nobody_and_one_that_hangs_is_started_again() -> None:
    [worker] = _PODS["Deployment/o-worker"]["containers"]
    startup, live, ready = (worker[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness"))
    # It waits for the schema, and then for Temporal.
    assert startup["periodSeconds"] * startup["failureThreshold"] > 2 * STARTUP_PATIENCE_S + 30
    assert live["periodSeconds"] * live["failureThreshold"] >= 60, "or a busy minute ends it"
    assert ready["timeoutSeconds"] <= ready["periodSeconds"]
    [port] = worker["ports"]
    for probe in (startup, live, ready):
        assert probe["httpGet"] == {"path": "/health", "port": port["name"]}


def test_the_log_of_a_migration_that_failed_stays() -> None:
    assert _PODS["Job/o-migrate"]["restartPolicy"] == "Never"


def test_ports_are_one_from_the_setting_to_the_service_and_its_policy() -> None:
    said = {one["name"]: one["value"] for one in _API["env"]}
    [port] = _API["ports"]
    [served] = _NAMED["Service/o-api"]["spec"]["ports"]
    [rule] = _NAMED["NetworkPolicy/o-api"]["spec"]["ingress"]
    assert int(said["O_PORT"]) == port["containerPort"] == served["port"]
    assert served["targetPort"] == port["name"]
    assert {"port": port["containerPort"]} in rule["ports"]
    [worker] = _PODS["Deployment/o-worker"]["containers"]
    [url] = [one["value"] for one in worker["env"] if one["name"] == "O_API_URL"]
    assert url == f"http://o-api:{served['port']}"


def test_prometheus_finds_what_each_pod_measures_and_is_let_in() -> None:
    [rule] = _NAMED["NetworkPolicy/o-metrics"]["spec"]["ingress"]
    open_to_it = {one["port"] for one in rule["ports"]}
    for name, deployment in _DEPLOYMENTS.items():
        metadata = deployment["spec"]["template"]["metadata"]
        [container] = _PODS[name]["containers"]
        said = {key.partition("/")[2]: text for key, text in metadata["annotations"].items()}
        assert said["scrape"] == "true"
        assert said["path"] == "/metrics"
        assert int(said["port"]) in {one["containerPort"] for one in container["ports"]}
        assert int(said["port"]) in open_to_it
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert told["O_METRICS_PORT"] == "9464"
    assert told["O_METRICS_HOST"] == "0.0.0.0"


def test_what_is_a_text_to_kubernetes_is_written_as_one() -> None:
    # env values, annotations and labels that YAML reads as numbers or truth are refused.
    for pod in _PODS.values():
        for container in pod["containers"]:
            for one in container.get("env", ()):
                assert isinstance(one.get("value", ""), str)
            assert all(isinstance(one, str) for one in container["args"])
    for one in _OBJECTS:
        metadata = [one["metadata"], one.get("spec", {}).get("template", {}).get("metadata", {})]
        for kind in ("labels", "annotations"):
            texts = [value for part in metadata for value in part.get(kind, {}).values()]
            assert all(isinstance(text, str) for text in texts)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="it is kubectl that builds overlays")
def test_the_overlay_of_the_page_is_built_and_reaches_every_pod(tmp_path: Path) -> None:
    (tmp_path / "o").symlink_to(ROOT)
    (tmp_path / "overlay").mkdir()
    [overlay] = re.findall(r"```yaml\n(.*?)```", _SECTION, re.DOTALL)
    (tmp_path / "overlay" / "kustomization.yaml").write_text(overlay)
    built = subprocess.run(
        ["kubectl", "kustomize", "overlay"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    objects = {
        (one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(built.stdout)
    }
    [(name, settings)] = [
        (name, one["data"]) for (kind, name), one in objects.items() if kind == "ConfigMap"
    ]
    assert settings["O_RATE_LIMIT"] == "600/minute"
    assert settings["O_LOG_FORMAT"] == "json", "the base's are there as well"
    for kind, of in (("Deployment", "o-api"), ("Deployment", "o-worker"), ("Job", "o-migrate")):
        [container] = objects[kind, of]["spec"]["template"]["spec"]["containers"]
        assert container["image"].startswith("registry.example.com/o-server:")
        assert {"configMapRef": {"name": name}} in container["envFrom"]


def test_the_secret_and_the_overlay_of_the_page_hold_settings_that_are_there() -> None:
    [secret] = re.findall(r"<<END\n(.*?)END\n", _SECTION, re.DOTALL)
    names = set(re.findall(r"(?m)^([A-Z_]+)=", secret))
    assert {"DATABASE_URL", "O_API_TOKEN", "O_ENCRYPTION_KEY"} <= names
    public = set(re.findall(r"- ([A-Z_]+)=", _SECTION))
    assert names | public <= setting_names()
    assert not names & public
