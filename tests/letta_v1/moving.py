"""`o import letta` as tests run it, and what it prints."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from o.storage.database import libpq_url
from tests.support.product import REPOSITORY, Product

V1_KEY = "the key of the V1 server"

Import = Callable[..., dict[str, Any]]
"""Moves the V1 database of a test, with some flags; see `run_import`."""


def database_url(server: Product, name: str) -> str:
    """Where another database of the product's PostgreSQL is."""
    return urlsplit(libpq_url(server.state["database_url"]))._replace(path=f"/{name}").geturl()


def command(server: Product, url: str, *flags: str) -> list[str]:
    """The command line of an import into a product."""
    letta = [sys.executable, "-m", "server.cli", "import", "letta", url]
    return [*letta, "--data-dir", str(server.data_dir), "--json", *flags]


def run_import(
    server: Product, url: str, *flags: str, key: str | None = V1_KEY, fails: bool = False
) -> dict[str, Any]:
    """Move a V1 database; the result as `--json` prints it, with `status` and `errors`."""
    done = subprocess.run(
        command(server, url, *flags),
        cwd=REPOSITORY,
        env=server.env | ({"O_LETTA_ENCRYPTION_KEY": key} if key else {}),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert fails or done.returncode in (0, 3), done.stderr
    printed = json.loads(done.stdout) if done.stdout else {}
    return {"status": done.returncode, "errors": done.stderr, **printed}


def line(result: dict[str, Any], table: str) -> dict[str, Any]:
    """What a result says of a table of V1."""
    found: dict[str, Any] = next(one for one in result["tables"] if one["table"] == table)
    return found


def news(result: dict[str, Any], table: str) -> int:
    """How many rows of a table of V1 were new here."""
    return int(line(result, table)["fates"].get("new", 0))


def told(result: dict[str, Any], id_: str) -> str:
    """All that a result tells of one thing."""
    return "\n".join(one["what"] for one in result["told"] if id_ in one["id"])
