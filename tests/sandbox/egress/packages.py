"""Packages of the tests' own environment, as requirements that were installed for a tool."""

import shutil
import sys
from pathlib import Path

HTTP_CLIENTS = (
    "aiohappyeyeballs aiohttp aiosignal anyio attr certifi charset_normalizer frozenlist h11 "
    "httpcore httpx idna multidict propcache requests sniffio typing_extensions.py urllib3 yarl"
)
LETTA_CLIENT = (
    "annotated_types anyio certifi distro h11 httpcore httpx idna letta_client pydantic "
    "pydantic_core sniffio typing_extensions.py typing_inspection"
)


def copied(names: str, folder: Path) -> Path:
    """A folder with these packages, for everybody to read."""
    site = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    folder.mkdir(mode=0o755)
    for name in names.split():
        if (site / name).is_dir():
            shutil.copytree(site / name, folder / name)
        else:
            shutil.copy(site / name, folder / name)
    return folder
