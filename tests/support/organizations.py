"""An organization that nobody else's tests have anything in."""

import os
import subprocess
import sys

import httpx

from o.ids import DEFAULT_USER_ID
from tests.support.product import REPOSITORY, Product


def new_organization(server: Product, name: str) -> str:
    """Make one with a user; the text of a key that opens everything of it."""
    words = ("key", "create", name, "--new-user", name, "--scope", "admin")
    done = subprocess.run(
        [sys.executable, "-m", "server.cli", *words],
        cwd=REPOSITORY,
        env=server.env | {"O_DATA_DIR": str(server.data_dir), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return done.stdout.strip()


def new_organization_by_api(server: Product, name: str) -> str:
    """The same over the API of a server without a token, which is quicker than by a command."""
    with httpx.Client(base_url=f"{server.url}/v1/admin", timeout=60) as root:
        id_ = root.post("/orgs/", json={"name": name}).json()["id"]
        user = root.post("/users/", json={"name": name, "organization_id": id_}).json()["id"]
    return new_key(server, "admin", user_id=user)


def new_key(
    server: Product, *scopes: str, user_id: str = DEFAULT_USER_ID, token: str = "none"
) -> str:
    """The text of a new key of a user, made over the API, which is quicker than by a command."""
    answer = httpx.post(
        f"{server.url}/v1/admin/keys/",
        json={"name": "of a test", "user_id": user_id, "scopes": scopes},
        headers={"authorization": f"Bearer {token}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["key"])
