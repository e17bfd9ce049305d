"""Files that Python runs at every start (`*.pth`), and that nobody here has reason to have.

The releases 1.82.7 and 1.82.8 of litellm (March 2026) stole keys; one of them did it by such a
file, which runs without litellm being imported.
"""

import base64
import hashlib
import importlib.metadata
import site
from collections.abc import Iterable, Iterator
from pathlib import Path

_RUNS_CODE = ("import ", "import\t")
_KNOWN_TO_RUN = frozenset({"setuptools"})  # distutils-precedence.pth


def strange_start_files(places: Iterable[Path] | None = None) -> list[str]:
    """What is strange about each `.pth` file that is, in words.

    A file is strange that no installed package owns by its `RECORD`, or that is not as its package
    brought it, or that runs code and belongs to a package of which that is not known.

    Args:
        places: The directories that packages are installed in; None for this Python's own.
    """
    where = [Path(one) for one in (site.getsitepackages() if places is None else places)]
    owned = dict(_owned(where))
    return [
        f"{path} {why}"
        for path in sorted(path for place in where for path in place.glob("*.pth"))
        if (why := _why_strange(path, owned.get(path.resolve()))) is not None
    ]


def _why_strange(path: Path, owner: tuple[str, str | None] | None) -> str | None:
    if owner is None:
        return "belongs to no installed package"
    name, digest = owner
    content = path.read_bytes()
    if digest is not None and digest != _digest(content):
        return f"is not as {name} brought it"
    lines = content.decode("utf-8", "replace").splitlines()
    if name not in _KNOWN_TO_RUN and any(line.startswith(_RUNS_CODE) for line in lines):
        return f"runs code at every start of Python, and came with {name}"
    return None


def _owned(places: list[Path]) -> Iterator[tuple[Path, tuple[str, str | None]]]:
    """Each `.pth` file that a package says it brought: whose it is, and its SHA-256."""
    for package in importlib.metadata.distributions(path=[str(place) for place in places]):
        for file in package.files or ():
            if file.suffix == ".pth":
                digest = file.hash.value if file.hash and file.hash.mode == "sha256" else None
                located = Path(str(package.locate_file(file)))
                yield located.resolve(), (package.name.lower(), digest)


def _digest(content: bytes) -> str:
    """As `RECORD` writes it."""
    digest = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
