"""What broke when people served other software of this kind by Docker Compose, as rules for ours.

Each stands for reports that others got again and again: health checks that ask a `localhost` which
resolves to ::1, passwords that end an address too early, data outside of the volume that was
meant to keep it, names that two installations fight for.
"""

import re
import subprocess
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from o.errors import InvalidInput
from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from o.storage.database import libpq_url, sqlalchemy_url
from tests.deploy.files import ROOT, compose, variables_of

_TEXT = (ROOT / "docker-compose.yml").read_text()
_EXAMPLE = (ROOT / ".env.example").read_text()
_SERVICES: dict[str, Any] = compose()["services"]
_FILES = [".env.example", "Dockerfile", "docker-compose.yml", "deploy", "sandbox/build_image.sh"]


@pytest.mark.parametrize(
    "name", [name for name, service in _SERVICES.items() if "healthcheck" in service]
)
def test_a_health_check_asks_an_address_that_is_listened_on(name: str) -> None:
    asked = " ".join(_SERVICES[name]["healthcheck"]["test"])
    assert "localhost" not in asked, "it may mean ::1, where nothing listens"
    # Temporal listens on its container's own address alone.
    assert ("temporal:7233" in asked) if name == "temporal" else ("127.0.0.1" in asked)


def test_a_health_check_gives_a_first_start_its_time() -> None:
    for name, service in _SERVICES.items():
        if (check := service.get("healthcheck")) is not None:
            assert int(check["start_period"].rstrip("s")) >= 60, name
            assert int(check["timeout"].rstrip("s")) <= int(check["interval"].rstrip("s"))


def test_whoever_needs_another_waits_until_it_is_able_and_not_until_it_is_there() -> None:
    for name, service in _SERVICES.items():
        waits = service.get("depends_on", {})
        if name == "proxy":  # it asks for itself whom it can send to
            continue
        assert all(
            one["condition"] in ("service_healthy", "service_completed_successfully")
            for one in waits.values()
        )
        for needed, one in waits.items():
            if one["condition"] == "service_healthy":
                assert "healthcheck" in _SERVICES[needed]


def test_postgresql_keeps_its_data_in_the_volume_that_is_named_for_it() -> None:
    for name in ("postgres", "temporal-postgres"):
        image, [volume] = _SERVICES[name]["image"], _SERVICES[name]["volumes"]
        volume_name, folder = volume.split(":")
        assert volume_name in compose()["volumes"], "a folder of the host has the wrong owner"
        [major] = re.findall(r"(?:pg|postgres:)(\d+)", image)
        # From 18 on, its images keep a folder for each release below this one.
        wanted = "/var/lib/postgresql" if int(major) >= 18 else "/var/lib/postgresql/data"
        assert folder == wanted
        assert not image.endswith("-alpine") or name != "postgres", "musl sorts otherwise"


def test_the_database_of_o_has_pgvector_and_a_release_that_o_takes() -> None:
    vector, major = re.findall(r":(\d+\.\d+)\.\d+-pg(\d+)$", _SERVICES["postgres"]["image"])[0]
    assert tuple(map(int, vector.split("."))) >= (0, 8)
    assert 16 <= int(major) <= 18


def test_whoever_takes_leave_is_not_killed_meanwhile() -> None:
    drain_s = Settings.model_fields["drain_s"].default
    for name in ("api-1", "api-2", "worker-1", "worker-2"):
        assert int(_SERVICES[name]["stop_grace_period"].rstrip("s")) >= drain_s + 10
    for name in ("postgres", "temporal-postgres"):  # they write down what is in memory
        assert int(_SERVICES[name]["stop_grace_period"].rstrip("s")) >= 60


def test_two_of_it_can_stand_on_one_machine() -> None:
    for service in _SERVICES.values():
        assert "container_name" not in service
        for port in service.get("ports", ()):
            assert port.startswith("${O_PUBLISH"), "a port that nobody can change"
    assert all(not one or "name" not in one for one in compose()["networks"].values())
    assert all(not one or "name" not in one for one in compose()["volumes"].values())


def test_compose_reads_no_dollar_but_those_of_variables() -> None:
    rest = re.sub(r"\$\{[A-Z_]+(:[-?][^}]*)?\}", "", _TEXT)
    assert "$" not in rest


def test_older_and_newer_releases_of_compose_read_the_file() -> None:
    assert "version" not in compose(), "newer ones warn of it"
    assert "name" not in compose(), "older ones do not know it"
    for service in _SERVICES.values():
        assert not set(service) & {"deploy", "develop", "pull_policy", "attach"}


def test_files_of_ours_are_mounted_where_selinux_lets_containers_read_them() -> None:
    for name, service in _SERVICES.items():
        for volume in service.get("volumes", ()):
            if volume.startswith(("./", "${")):
                assert re.search(r":(ro,)?z$", volume), f"{name}: {volume}"
                assert volume.startswith("${") or ":ro," in volume
        if any("docker.sock" in volume for volume in service.get("volumes", ())):
            assert "label:disable" in service["security_opt"]


def test_what_containers_run_has_unix_lines_and_may_be_run() -> None:
    attributes = (ROOT / ".gitattributes").read_text()
    for pattern in ("*.sh", ".env.example", "/Dockerfile", "/deploy/**", "/docker-compose.yml"):
        assert f"{pattern} text eol=lf\n" in attributes
    listed = subprocess.run(
        ["git", "ls-files", "--stage", "--", *_FILES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert listed
    for line in listed:
        mode, path = line.split()[0], line.partition("\t")[2]
        assert b"\r" not in (ROOT / path).read_bytes()
        assert (mode == "100755") == path.endswith(".sh"), path


def test_every_secret_has_a_command_that_makes_one_and_passwords_stand_in_addresses() -> None:
    lines = _EXAMPLE.splitlines()
    for name in ("O_API_TOKEN", "O_ENCRYPTION_KEY", "POSTGRES_PASSWORD"):
        said = lines[lines.index(f"{name}=") - 1]
        [made] = re.findall(r"openssl rand -(hex|base64) \d+", said)
        assert made == "hex" or name == "O_ENCRYPTION_KEY"
    assert set(re.findall(r"\$\{(\w*PASSWORD)", _TEXT)) == {
        "POSTGRES_PASSWORD",
        "TEMPORAL_POSTGRES_PASSWORD",
    }


def test_a_variable_that_is_left_empty_is_as_good_as_missing() -> None:
    # `${NAME-default}` and `${NAME?}` take an empty one; those with a colon do not.
    said = re.findall(r"\$\{[A-Z_]+([^}]*)\}", _TEXT)
    assert all(one.startswith((":-", ":?")) for one in said)
    asked = variables_of(_TEXT)
    assert {name for name, default in asked.items() if default is None} >= {
        "POSTGRES_PASSWORD",
        "O_API_TOKEN",
        "O_ENCRYPTION_KEY",
        "DOCKER_GID",
    }


@pytest.mark.parametrize("end", ["\n", "\r\n", " "])
def test_secrets_and_addresses_may_end_with_a_line(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`echo … | base64` makes such ones for Kubernetes, and Windows such files for Docker."""
    for name in ("O_API_TOKEN", "DATABASE_URL", "TEMPORAL_ADDRESS", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, f"value{end}")
    settings, providers = Settings(), ProviderSettings()
    assert settings.api_token is not None
    assert settings.api_token.get_secret_value() == "value"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "value"
    assert settings.temporal_address == "value"
    assert providers.value("OPENAI_API_KEY") == "value"


@pytest.mark.parametrize("password", ["p@ss", "p@ss/w#rd", "a@b@c", "@", "#a@b/"])
def test_a_password_that_ends_an_address_too_early_is_told_of(password: str) -> None:
    with pytest.raises(InvalidInput, match="write @ in it as %40") as refused:
        libpq_url(f"postgresql://o:{password}@db:5432/o")
    assert password not in refused.value.message.replace("write @", "")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://o:p%40ss%2Fw%23rd@db:5432/o",
        "postgresql://o@server:secret@db:5432/o",
        "postgresql://o@/o?host=/run/postgresql&port=5432",
        "postgres://o:a-b_c.d~e@[::1]:5432/o?sslmode=require",
    ],
)
def test_addresses_as_people_write_them_are_taken(url: str) -> None:
    assert libpq_url(url).startswith("postgresql://")


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("options=-c%20search_path%3Do", {"options": "-c search_path=o"}),
        ("application_name=my+o%2B", {"application_name": "my o+"}),
        ("ssl=require", {"sslmode": "require"}),
        ("ssl=true&prepared_statement_cache_size=0", {"sslmode": "require"}),
        ("ssl=true&sslmode=verify-full", {"sslmode": "verify-full"}),
    ],
)
def test_parameters_of_addresses_are_read_as_sqlalchemy_spells_them(
    query: str, parameters: dict[str, str]
) -> None:
    url = f"postgresql+asyncpg://o:p@db:5432/o?{query}"
    known = conninfo_to_dict(libpq_url(url))
    assert {name: known[name] for name in parameters} == parameters
    assert make_url(sqlalchemy_url(url)).query == parameters
