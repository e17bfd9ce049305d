"""Requirements become folders: from wheels that the tests make, never from the internet."""

import asyncio
import io
import os
import stat
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

import pytest

import sandbox.installer
import sandbox.packages
from sandbox.installer import InstallFailed, Source, Uv, compile_sources
from sandbox.packages import TIMEOUT_S, Packages
from tests.sandbox.wheels import index, make_wheel

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


@pytest.fixture
def packages(tmp_path: Path, wheels: Path) -> Packages:
    return Packages(tmp_path / "o" / "tool-packages", Source("", str(wheels)), python=PYTHON)


def root(packages: Packages) -> Path:
    return packages._root


def left(packages: Packages) -> set[str]:
    """What is in the root beside its own folders."""
    return {path.name for path in root(packages).iterdir()} - {"wanted", "failed", "locks"}


async def test_requirements_are_installed_once_and_read_only(
    packages: Packages, wheels: Path
) -> None:
    make_wheel(wheels, "alpha", requires=["beta>=1"])
    make_wheel(wheels, "beta", "1.5")
    required = [{"name": "alpha", "version": None}]
    folder = await packages.prepared(required)
    assert folder is not None
    assert left(packages) == {folder.name}
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import beta; print(beta.VERSION)"
    run = subprocess.run(
        [sys.executable, "-I", "-B", "-c", code], check=False, capture_output=True, text=True
    )
    assert run.stdout == "1.5\n"
    for path in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o222 == 0
        assert mode & 0o444 == 0o444
    make_wheel(wheels, "beta", "2.0")  # what was resolved once stays
    assert await packages.prepared(required) == folder
    other = await packages.prepared([{"name": "beta", "version": "2.0"}])
    assert other not in {folder, None}
    assert await packages.prepared([]) is None


async def test_they_are_compiled_for_the_sandboxs_python_if_it_is_the_workers(
    packages: Packages, wheels: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'w')\n"
    files = {"alpha/__init__.py": evil, "alpha/old.py": "print 'for Python 2'\n"}
    make_wheel(wheels, "alpha", files=files)
    folder = await packages.prepared([{"name": "alpha"}])
    assert folder is not None
    (bytecode,) = folder.rglob("*.pyc")
    assert bytecode == Path(cache_from_source(str(folder / "alpha" / "__init__.py")))
    assert bytecode.read_bytes()[:8] == MAGIC_NUMBER + b"\1\0\0\0", "no source is compared"
    assert not ran.exists(), "it was not run"
    other = Packages(tmp_path / "other", Source("", str(wheels)), python="3.9")
    elsewhere = await other.prepared([{"name": "alpha"}])
    assert elsewhere is not None
    assert not list(elsewhere.rglob("*.pyc"))


@pytest.mark.parametrize("bound", ["COMPILE_S", "MAX_BYTES"])
async def test_what_takes_too_much_to_compile_is_installed_without(
    packages: Packages, wheels: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    texts = (f"'{n:04}' * 1000" for n in range(500))
    grows = f"x = [{', '.join(texts)}]\n"  # 2 MB of constants
    files = {f"alpha/part{n}.py": grows for n in range(32)}
    make_wheel(wheels, "alpha", files=files)
    monkeypatch.setattr(sandbox.installer, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(sandbox.installer, bound, 0.05 if bound == "COMPILE_S" else 16_000_000)
    folder = await packages.prepared([{"name": "alpha"}])
    assert folder is not None
    assert len(list(folder.rglob("*.py"))) == 32
    assert len(list(folder.rglob("*.pyc"))) < 32


async def test_a_source_that_takes_much_memory_to_compile_is_installed_without(
    packages: Packages, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(wheels, "alpha", files={"alpha/big.py": f"x = [{'[],' * 200_000}]\n"})
    monkeypatch.setattr(sandbox.installer, "_COMPILE_BYTES", 100_000_000)
    folder = await packages.prepared([{"name": "alpha"}])
    assert folder is not None
    assert not list(folder.rglob("big*.pyc"))


class Slow(Uv):
    """Counts, and takes its time until all callers wait."""

    installed = 0

    async def install(self, resolved: tuple[str, ...], folder: Path) -> None:
        Slow.installed += 1
        await super().install(resolved, folder)


async def test_callers_at_the_same_time_install_once(tmp_path: Path, wheels: Path) -> None:
    make_wheel(wheels, "alpha")
    source = Source("", str(wheels))
    many = [
        Packages(tmp_path / "p", source, python=PYTHON, installer=Slow(source, PYTHON))
        for _ in range(5)
    ]
    folders = await asyncio.gather(*(each.prepared([{"name": "alpha"}]) for each in many))
    assert len(set(folders)) == 1
    assert Slow.installed == 1


async def test_compiling_takes_nothing_of_the_time_for_installing(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of who installs nor of who waits for that. Both take nearly all of it, by a jump."""
    loop, passed_s = asyncio.get_running_loop(), 0.0
    now_s = loop.time
    monkeypatch.setattr(loop, "time", lambda: now_s() + passed_s)

    class Late(Uv):
        async def install(self, resolved: tuple[str, ...], folder: Path) -> None:
            nonlocal passed_s
            await super().install(resolved, folder)
            passed_s += 0.9 * TIMEOUT_S

    async def compile_late(folder: Path, python: str) -> None:
        nonlocal passed_s
        passed_s += 0.9 * TIMEOUT_S
        await compile_sources(folder, python)

    monkeypatch.setattr(sandbox.packages, "compile_sources", compile_late)
    make_wheel(wheels, "alpha")
    source = Source("", str(wheels))
    two = [
        Packages(tmp_path / "p", source, python=PYTHON, installer=Late(source, PYTHON))
        for _ in range(2)
    ]
    folder, same = await asyncio.gather(*(each.prepared([{"name": "alpha"}]) for each in two))
    assert folder is not None
    assert folder == same
    assert list(folder.rglob("*.pyc"))
    assert passed_s == pytest.approx(1.8 * TIMEOUT_S), "they were installed and compiled once"


async def test_what_a_dead_worker_left_is_never_used(packages: Packages, wheels: Path) -> None:
    make_wheel(wheels, "alpha")
    folder = await packages.prepared([{"name": "alpha"}])
    assert folder is not None
    (wanted,) = (root(packages) / "wanted").iterdir()
    half = root(packages) / f"making-{wanted.name}"
    folder.chmod(0o755)
    folder.rename(half)
    (half / "alpha.py").chmod(0o644)
    (half / "alpha.py").write_text("half")
    assert await packages.prepared([{"name": "alpha"}]) == folder
    assert "VERSION" in (folder / "alpha.py").read_text()
    assert left(packages) == {folder.name}


async def test_a_failure_is_told_and_kept_for_a_while(
    packages: Packages, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InstallFailed, match="alpha") as failed:
        await packages.prepared([{"name": "alpha"}])
    assert "warning" not in str(failed.value)
    make_wheel(wheels, "alpha")
    with pytest.raises(InstallFailed, match="alpha"):
        await packages.prepared([{"name": "alpha"}])
    monkeypatch.setattr(sandbox.packages, "FAILURE_LASTS_S", 0)
    assert await packages.prepared([{"name": "alpha"}])


async def test_an_installation_that_is_cancelled_or_late_leaves_nothing(
    tmp_path: Path, wheels: Path
) -> None:
    make_wheel(wheels, "alpha")

    class Stuck(Uv):
        async def install(self, resolved: tuple[str, ...], folder: Path) -> None:
            (folder / "target").mkdir()
            reached.set()
            await asyncio.Event().wait()

    source, reached = Source("", str(wheels)), asyncio.Event()
    stuck = Packages(
        tmp_path / "p", source, python=PYTHON, installer=Stuck(source, PYTHON), timeout_s=4
    )
    task = asyncio.create_task(stuck.prepared([{"name": "alpha"}]))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left(stuck) == set()
    with pytest.raises(InstallFailed, match="more than 4 s"):
        await stuck.prepared([{"name": "alpha"}])
    assert left(stuck) == set()


async def refused(packages: Packages, *names: str) -> str:
    with pytest.raises(InstallFailed) as failed:
        await packages.prepared([{"name": name} for name in names])
    assert left(packages) == set()
    return str(failed.value)


async def test_source_distributions_are_not_built(
    packages: Packages, wheels: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w')\nfrom setuptools import setup\nsetup(name='alpha')".encode()
    info = b"Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n"
    with tarfile.open(wheels / "alpha-1.0.tar.gz", "w:gz") as archive:
        for name, text in {"alpha-1.0/setup.py": setup, "alpha-1.0/PKG-INFO": info}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    assert "alpha" in await refused(packages, "alpha")
    assert not ran.exists()


@pytest.mark.parametrize(
    "inside",
    [
        "../escaped.py",
        "../../escaped.py",
        "alpha-1.0.data/data/../../../escaped.py",
        "/{}/escaped.py",
    ],
)
async def test_a_wheel_writes_nowhere_but_into_its_folder(
    packages: Packages, wheels: Path, tmp_path: Path, inside: str
) -> None:
    inside = inside.format(str(tmp_path).strip("/"))
    make_wheel(wheels, "alpha", files={"alpha.py": "", inside: "escaped = 1"})
    try:
        folder = await packages.prepared([{"name": "alpha"}])
    except InstallFailed:
        folder = None
    escaped = [path for path in tmp_path.rglob("escaped.py") if folder not in path.parents]
    assert not escaped


async def test_links_in_a_wheel_are_not_followed(packages: Packages, wheels: Path) -> None:
    path = make_wheel(wheels, "alpha", files={"alpha.py": ""})
    with zipfile.ZipFile(path, "a") as wheel:
        link = zipfile.ZipInfo("link.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        link.create_system = 3
        wheel.writestr(link, "/etc/passwd")
    try:
        folder = await packages.prepared([{"name": "alpha"}])
    except InstallFailed:
        return
    assert folder is not None
    assert not any(each.is_symlink() for each in folder.rglob("*"))


@pytest.mark.parametrize("module", ["json.py", "os/__init__.py", "guest/__init__.py", "ssl.so"])
async def test_a_wheel_takes_the_place_of_no_module_of_python(
    packages: Packages, wheels: Path, module: str
) -> None:
    make_wheel(wheels, "alpha", files={module: "1"})
    assert "would take the place" in await refused(packages, "alpha")


async def test_nothing_of_a_wheel_runs_here(
    packages: Packages, wheels: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    evil = f"import os; open({str(ran)!r}, 'w')\n"
    files = {"evil.pth": evil, "alpha.py": evil, "sitecustomize.py": evil, "usercustomize.py": evil}
    make_wheel(wheels, "alpha", files=files)
    folder = await packages.prepared([{"name": "alpha"}])
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import email.utils"
    subprocess.run([sys.executable, "-I", "-B", "-c", code], check=True)
    assert not ran.exists()


async def test_a_wheel_for_another_machine_is_refused(packages: Packages, wheels: Path) -> None:
    make_wheel(wheels, "alpha", tag="cp311-cp311-win_amd64")
    make_wheel(wheels, "beta", tag="cp38-cp38-manylinux_2_28_x86_64")
    assert "alpha" in await refused(packages, "alpha")
    assert "beta" in await refused(packages, "beta")


async def test_a_bomb_is_stopped(
    packages: Packages, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.installer, "MAX_BYTES", 16 * 1024 * 1024)
    make_wheel(wheels, "alpha", files={"alpha.bin": b"\0" * 64 * 1024 * 1024})
    assert await refused(packages, "alpha")
    many = {f"part{n}.bin": b"\0" * 4 * 1024 * 1024 for n in range(16)}
    make_wheel(wheels, "beta", files=many)
    assert "more than" in await refused(packages, "beta")


async def test_what_a_package_requires_comes_from_the_index_alone(
    packages: Packages, wheels: Path
) -> None:
    with index() as elsewhere:
        make_wheel(wheels, "alpha", requires=[f"beta @ {elsewhere.url}/beta-1.0-py3-none-any.whl"])
        make_wheel(wheels, "gamma", requires=["delta @ file:///etc/passwd"])
        assert await refused(packages, "alpha")
        assert elsewhere.asked == []
    assert "root:" not in await refused(packages, "gamma")


async def test_an_index_is_asked_and_its_password_told_to_nobody(
    tmp_path: Path, wheels: Path
) -> None:
    wheel = make_wheel(wheels, "alpha").read_bytes()
    with index() as site, index() as other:
        link = b'<a href="/files/alpha-1.0-py3-none-any.whl">alpha-1.0-py3-none-any.whl</a>'
        site.pages["/simple/alpha/"] = link
        site.pages["/files/alpha-1.0-py3-none-any.whl"] = wheel
        site.pages["/simple/beta/"] = "/simple/beta/?again"
        site.pages["/simple/beta/?again"] = "/simple/beta/"
        site.pages["/simple/gamma/"] = f"{other.url}/gone/"
        host = site.url.removeprefix("http://")
        source = Source(f"http://user:sesame@{host}/simple")
        packages = Packages(tmp_path / "p", source, python=PYTHON)
        folder = await packages.prepared([{"name": "alpha"}])
        assert folder is not None
        assert (folder / "alpha.py").exists()
        for name in ("beta", "gamma", "missing"):
            with pytest.raises(InstallFailed) as failed:
                await packages.prepared([{"name": name}])
            assert "sesame" not in str(failed.value)


async def test_without_an_index_that_answers_it_is_said(tmp_path: Path) -> None:
    with index() as gone:
        url = gone.url
    packages = Packages(tmp_path / "p", Source(f"{url}/simple"), python=PYTHON)
    assert "the index" in await refused(packages, "alpha")


async def test_uv_sees_nothing_of_the_environment(
    packages: Packages, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with index() as elsewhere:
        for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
            monkeypatch.setenv(name, elsewhere.url)
        assert "alpha" in await refused(packages, "alpha")
        assert elsewhere.asked == []
    assert "O_" not in "".join(sandbox.installer._environment(wheels))
    assert os.environ.keys() - sandbox.installer._environment(wheels).keys()
