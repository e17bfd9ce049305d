"""With no key and no network O starts, lists its model and answers, and tries to reach nobody."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.product import REPOSITORY

_OWN_NETWORK = (
    ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
)


@pytest.mark.timeout(180)
def test_nobody_is_reached_for_without_a_key_and_a_network(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if "_API_KEY" not in name}
    done = subprocess.run(
        [*_OWN_NETWORK, sys.executable, "-m", "tests.up.alone", str(tmp_path / "o")],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["models"] == ["local/smollm2-135m"]
    assert all("assistant_message" in types for types in found["answers"])
    assert found["made"] == 0, "something was to be reached beyond loopback"
    assert found["after"] == 1, "an attempt is counted, so that none is none"
