"""Files that run at every start of Python: which ones `o doctor` tells of."""

from pathlib import Path

import pytest

from o.settings.all import Settings
from o.settings.providers import ProviderSettings
from server import start_files
from server.doctor import examine
from server.start_files import strange_start_files


def installed(place: Path, package: str, name: str, content: str, *, recorded: bool = True) -> Path:
    """A package in a directory, with a `.pth` file that its RECORD names, or does not."""
    info = place / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    digest = start_files._digest(content.encode())
    line = f"{name},sha256={digest},{len(content)}\n" if recorded else ""
    (info / "RECORD").write_text(f"{line}{info.name}/METADATA,,\n")
    path = place / name
    path.write_text(content)
    return path


def test_a_path_that_a_package_brought_is_nothing_strange(tmp_path: Path) -> None:
    installed(tmp_path, "editable", "_editable.pth", "/somewhere/else\n")
    installed(tmp_path, "setuptools", "distutils-precedence.pth", "import os; os\n")
    assert strange_start_files([tmp_path]) == []


def test_a_file_that_no_package_brought_is_told_of(tmp_path: Path) -> None:
    path = installed(tmp_path, "litellm", "litellm_init.pth", "import os\n", recorded=False)
    assert strange_start_files([tmp_path]) == [f"{path} belongs to no installed package"]


def test_a_file_that_was_changed_is_told_of(tmp_path: Path) -> None:
    path = installed(tmp_path, "setuptools", "distutils-precedence.pth", "import os\n")
    path.write_text("import os; os.environ\n")
    assert strange_start_files([tmp_path]) == [f"{path} is not as setuptools brought it"]


def test_a_file_that_runs_code_is_told_of_whoever_brought_it(tmp_path: Path) -> None:
    path = installed(tmp_path, "litellm", "litellm_init.pth", "\nimport base64\n")
    (found,) = strange_start_files([tmp_path])
    assert found == f"{path} runs code at every start of Python, and came with litellm"


def test_the_doctor_warns_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path / "data", port=0)
    providers = ProviderSettings(_env_file=None)
    words = [finding.what for finding in examine(settings, providers)]
    assert "nothing strange runs at the start of Python" in words
    installed(tmp_path / "site", "litellm", "litellm_init.pth", "import os\n")
    monkeypatch.setattr("site.getsitepackages", lambda: [str(tmp_path / "site")])
    found = [finding for finding in examine(settings, providers) if "litellm_init" in finding.what]
    assert [finding.level for finding in found] == ["warn"]
