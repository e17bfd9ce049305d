"""The README's first conversation, run as it stands, on the bundled model."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.product import REPOSITORY, Product

README = (REPOSITORY / "README.md").read_text()
SECTION = README.split("## A first conversation")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """What `make up` gives where no provider is set."""
    product = Product(tmp_path_factory.mktemp("readme") / "o")
    product.start()
    yield product
    product.stop()


def block(language: str, product: Product) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)
    assert "http://127.0.0.1:8283" in found
    return str(found).replace("http://127.0.0.1:8283", product.url)


def test_the_python_conversation_gets_its_answers(product: Product, tmp_path: Path) -> None:
    script = tmp_path / "conversation.py"
    script.write_text(block("python", product))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("assistant_message ")
    assert len(lines[0]) > len("assistant_message "), "the model said something"
    streamed = [line.split()[0] for line in lines if re.match(r"[a-z_]+ ", line)]
    assert "ping" in streamed
    assert streamed[-2:] == ["stop_reason", "usage_statistics"]


def test_the_same_with_curl(product: Product) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block("sh", product)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"stop_reason":"end_turn"' in done.stdout
    assert "Their name is Ada." in done.stdout
    assert done.stdout.rstrip().endswith("data: [DONE]")


def test_the_two_commands_are_those_of_the_makefile() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for command in ("up", "test"):
        assert f"\nmake {command} " in README
        assert f"\n{command}:" in makefile
