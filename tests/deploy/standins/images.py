"""Images for the services of the compose file whose own ones are not here, from what is.

Each stands on O's image, so that it has a Python, and behaves where it matters as the real one:
what variables it reads, what it listens on, when it is healthy and what of it lasts.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from server.up.embedded_postgres import find_binaries
from server.up.embedded_temporal import find_binary

HERE = Path(__file__).parent
_Fill = Callable[[Path], str]
"""Puts into a folder what an image is made of; what its Dockerfile says beside the base."""


def _postgres(folder: Path) -> str:
    package = find_binaries().parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(package / "pginstall18", folder / package.name / "pginstall18")
    shutil.copytree(libraries, folder / libraries.name)
    shutil.copy(HERE / "postgres.py", folder)
    return (
        f"COPY {package.name} /srv/{package.name}\nCOPY {libraries.name} /srv/{libraries.name}\n"
        f"ENV PATH=/srv/{package.name}/pginstall18/bin:/opt/o/bin:/usr/bin:/bin\n"
        "RUN echo 'postgres:x:999:999::/tmp:/bin/sh' >>/etc/passwd\n"
        "VOLUME /var/lib/postgresql/data\nSTOPSIGNAL SIGINT\n"
        'COPY postgres.py /srv/\nENTRYPOINT ["python3", "/srv/postgres.py"]\nCMD []\n'
    )


def _temporal(folder: Path) -> str:
    shutil.copy(find_binary(), folder / "temporal")
    shutil.copy(HERE / "temporal.py", folder)
    return (
        "COPY temporal /usr/bin/\nCOPY temporal.py /srv/\n"
        'ENTRYPOINT ["python3", "/srv/temporal.py"]\nCMD []\n'
    )


def _temporal_ui(_: Path) -> str:
    return 'ENTRYPOINT ["python3", "-m", "http.server", "8080"]\nCMD []\n'


def _caddy(folder: Path) -> str:
    """The real program, from Debian's package."""
    if (here := shutil.which("caddy")) is None:
        subprocess.run(
            ["apt-get", "download", "-qq", "caddy"], cwd=folder, capture_output=True, check=True
        )
        [package] = folder.glob("caddy_*.deb")
        subprocess.run(["dpkg-deb", "-x", package, folder / "unpacked"], check=True)
        here = str(folder / "unpacked" / "usr" / "bin" / "caddy")
    shutil.copy(here, folder / "caddy")
    return (
        "COPY caddy /usr/bin/\n"
        'ENTRYPOINT ["caddy", "run", "--config", "/etc/caddy/Caddyfile"]\nCMD []\n'
    )


_FILLS: dict[str, _Fill] = {
    "pgvector/pgvector": _postgres,
    "postgres": _postgres,
    "temporalio/auto-setup": _temporal,
    "temporalio/ui": _temporal_ui,
    "caddy": _caddy,
}


def image_for(name: str, base: str) -> str:
    """The image `name` itself where it is here, else what stands in for it on `base`."""
    if _is_here(name):
        return name
    fill = _FILLS[name.partition(":")[0]]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        recipe = f"FROM {base}\nUSER 0:0\n{fill(folder)}"
        (folder / "Dockerfile").write_text(recipe)
        tag = f"o-standin-{fill.__name__.strip('_')}:test"
        (folder / ".dockerignore").write_text("*.deb\nunpacked\n")
        _docker("build", "--quiet", "--tag", tag, str(folder))
    return tag


def _is_here(name: str) -> bool:
    found = subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False)
    return found.returncode == 0


def _docker(*arguments: str) -> None:
    done = subprocess.run(
        ["docker", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
