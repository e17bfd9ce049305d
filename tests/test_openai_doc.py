"""What docs/openai.md shows, done as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

from letta_client.types import AgentState

from tests.support.product import REPOSITORY, Product
from tests.support.provider import EMBEDDING_HANDLE

DOC = (REPOSITORY / "docs" / "openai.md").read_text()


def test_the_snippet_speaks_to_an_agent(server: Product, agent: AgentState, tmp_path: Path) -> None:
    snippet, embeds = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    assert "http://127.0.0.1:8283/v1" in snippet
    script = tmp_path / "openai_snippet.py"
    embeds = embeds.replace("openai/text-embedding-3-small", EMBEDDING_HANDLE)
    script.write_text((snippet + embeds).replace("http://127.0.0.1:8283", server.url))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{agent.id} {agent.name}" in done.stdout, "the newest is the first"
    assert "You said: Hello! My name is Ada.\n" in done.stdout
    assert "You said: Who am I?\ntokens: 18\n2 3\n" in done.stdout
