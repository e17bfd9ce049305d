"""`o ingest`: puts files and whole directories into a folder, through the API, and waits."""

import asyncio
import mimetypes
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx

from o.errors import InvalidInput, Unavailable
from o.log import printable
from server.api_client.answers import check_is_api
from server.api_client.organizations import organizations_of
from server.api_client.source import Source
from server.progress import progress_bar

_AT_ONCE = 4
_TRIES = 4
_FIRST_PAUSE_S = 0.5
_POLL_S = 0.5
_TIMEOUT = httpx.Timeout(120.0, connect=10.0)
_PAGE = 1_000
_SHOWN_REASON_CHARS = 200
_RETRIED = frozenset({429, 502, 503, 504})
_WAITING = frozenset({"pending", "parsing"})
_READ = frozenset({"completed", "embedding"})


@dataclass(frozen=True)
class Wanted:
    """A file that is to be in the folder.

    Attributes:
        name: What it is called there: its path below the directory that was named.
    """

    path: Path
    name: str


@dataclass
class Result:
    """What came of it.

    Attributes:
        uploaded: Ids of the files that were uploaded, by their names.
        read: Names of those of which there is text now.
        there: Names that the folder had before.
        changed: Those of them that have another size here.
        failed: Why, by name.
        passages: What the files that were read are cut into.
        waiting: Passages that have no vector yet.
    """

    uploaded: dict[str, str] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    passages: int = 0
    waiting: int = 0


class _Refused(Exception):
    """The API's reason why it does not take a file."""


def find_files(paths: Sequence[Path]) -> tuple[list[Wanted], dict[str, str]]:
    """The files at some paths, by name, and why others are left out.

    Of a directory all that is below it, but what is hidden; links to directories are not followed.
    """
    found: dict[str, Wanted] = {}
    failed: dict[str, str] = {}
    for path in paths:
        for one in _below(path) if path.is_dir() else [Wanted(path, _spelled(path.name))]:
            if not one.path.is_file():
                failed[one.name] = "It is no file."
            elif one.name in found and found[one.name].path.resolve() != one.path.resolve():
                failed[_spelled(str(one.path))] = f"Another file has the name {one.name} as well."
            else:
                found[one.name] = one
    return [found[name] for name in sorted(found)], failed


def _below(directory: Path) -> Iterator[Wanted]:
    for place, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and (path.is_file() or path.is_symlink()):
                yield Wanted(path, _spelled(path.relative_to(directory).as_posix()))


def _spelled(name: str) -> str:
    """A name as text. On Linux it is bytes, which need not be UTF-8: old archives have others."""
    return os.fsencode(name).decode("utf-8", "replace")


def _size(path: Path) -> int | None:
    """In bytes; None of a file that was deleted since it was found."""
    try:
        return path.stat().st_size
    except OSError:
        return None


class Ingestion:
    """Puts files into one folder."""

    def __init__(self, client: httpx.AsyncClient, *, duplicates: str) -> None:
        """Nothing is asked yet.

        Args:
            client: Of the API.
            duplicates: V1's `duplicate_handling`: what becomes of files whose names are taken.
        """
        self._client = client
        self._duplicates = duplicates
        self.result = Result()

    async def run(
        self, folder: str, wanted: Sequence[Wanted], *, embedding: str | None, waits: bool
    ) -> Result:
        """Upload the files and, with `waits`, see them read.

        Raises:
            InvalidInput: The API refuses us, or the folder.
            Unavailable: Nobody answers.
        """
        try:
            folder_id = await self._folder_id(folder, embedding)
            missing = await self._missing(folder, folder_id, wanted)
            with _bar(len(missing), "upload") as advance:
                await _each(missing, lambda one: self._upload(folder_id, one), advance)
            if waits:
                await self._wait(folder_id)
        except _Refused as error:
            raise InvalidInput(f"The API refuses it: {error}") from None
        except httpx.TransportError as error:
            raise Unavailable(
                f"Nobody answers at {self._client.base_url}: {type(error).__name__}. "
                "Start O, or say where it is with --url."
            ) from None
        return self.result

    async def _folder_id(self, name: str, embedding: str | None) -> str:
        found = await self._ask("GET", "/v1/folders/", params={"name": name})
        if found:
            return str(found[0]["id"])
        body = {"name": name} | ({"embedding": embedding} if embedding else {})
        return str((await self._ask("POST", "/v1/folders/", json=body))["id"])

    async def _missing(self, folder: str, folder_id: str, wanted: Sequence[Wanted]) -> list[Wanted]:
        """What is to be uploaded: where duplicates are skipped, what the folder does not have."""
        if self._duplicates != "skip":
            return list(wanted)
        sizes = {
            one["file_name"].removeprefix(f"{folder}/"): one["file_size"]
            async for one in self._files(folder_id)
        }
        for one in wanted:
            if one.name in sizes:
                self.result.there.append(one.name)
                if sizes[one.name] not in {None, _size(one.path)}:
                    self.result.changed.append(one.name)
        return [one for one in wanted if one.name not in sizes]

    async def _files(self, folder_id: str) -> AsyncIterator[dict[str, Any]]:
        after: dict[str, str] = {}
        while page := await self._ask(
            "GET", f"/v1/folders/{folder_id}/files", params={"limit": _PAGE, **after}
        ):
            for one in page:
                yield one
            after = {"after": page[-1]["id"]}

    async def _upload(self, folder_id: str, one: Wanted) -> None:
        media_type = mimetypes.guess_type(one.name)[0] or "application/octet-stream"
        params = {"name": one.name, "duplicate_handling": self._duplicates}
        try:
            with one.path.open("rb") as content:
                answer = await self._ask(
                    "POST",
                    f"/v1/folders/{folder_id}/upload",
                    params=params,
                    files={"file": (one.name.rpartition("/")[2], content, media_type)},
                )
        except _Refused as error:
            self.result.failed[one.name] = str(error)
        except OSError as error:
            self.result.failed[one.name] = error.strerror or type(error).__name__
        else:
            self.result.uploaded[one.name] = answer["id"]

    async def _wait(self, folder_id: str) -> None:
        """See one after the other read: workers take them in their order, nearly."""
        with _bar(len(self.result.uploaded), "read") as advance:
            for name, file_id in self.result.uploaded.items():
                try:
                    self._note(name, await self._settled(folder_id, file_id))
                except _Refused as error:  # somebody has deleted it
                    self.result.failed[name] = str(error)
                advance()

    async def _settled(self, folder_id: str, file_id: str) -> dict[str, Any]:
        while True:
            file: dict[str, Any] = await self._ask(
                "GET", f"/v1/folders/{folder_id}/files/{file_id}"
            )
            if file["processing_status"] not in _WAITING:
                return file
            await asyncio.sleep(_POLL_S)

    def _note(self, name: str, file: dict[str, Any]) -> None:
        if file["processing_status"] in _READ:
            self.result.read.append(name)
            passages = file["total_chunks"] or 0
            self.result.passages += passages
            self.result.waiting += passages - (file["chunks_embedded"] or 0)
        else:
            self.result.failed[name] = file["error_message"] or "It could not be read."

    async def _ask(self, method: str, path: str, **request: Any) -> Any:
        """What the API answers. It is asked again while it is away for a moment."""
        for attempt in range(_TRIES):
            is_last = attempt == _TRIES - 1
            # By which the API knows that it may have seen this before.
            headers = {"x-stainless-retry-count": str(attempt)}
            for _, content, _ in request.get("files", {}).values():
                content.seek(0)
            try:
                answer = await self._client.request(method, path, headers=headers, **request)
            except httpx.TransportError:
                if is_last:
                    raise
            else:
                if answer.status_code not in _RETRIED or is_last:
                    return _read(answer)
            await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
        raise AssertionError  # the last try has returned or raised


def _read(answer: httpx.Response) -> Any:
    if answer.is_success:
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise _Refused("it does not answer in JSON") from None
    try:
        words = answer.json()["detail"]
    except (ValueError, LookupError, TypeError):
        words = answer.reason_phrase
    raise _Refused(f"{words if isinstance(words, str) else answer.text} ({answer.status_code})")


async def _each(
    wanted: Sequence[Wanted],
    work: Callable[[Wanted], Awaitable[None]],
    advance: Callable[[], None],
) -> None:
    """Do the work for each, some at once."""
    left = iter(wanted)

    async def go_on() -> None:
        for one in left:
            await work(one)
            advance()

    await asyncio.gather(*(go_on() for _ in range(_AT_ONCE)))


@contextmanager
def _bar(length: int, label: str) -> Iterator[Callable[[], None]]:
    with progress_bar(length, f"{label:8}", show_pos=True) as bar:
        yield lambda: bar.update(1)


def tell(folder: str, result: Result, *, waits: bool) -> None:
    """Print what came of it."""
    done = f"{len(result.read)} read" if waits else f"{len(result.uploaded)} uploaded"
    click.echo(
        f"{printable(folder)}: {done}, {len(result.there)} were there, {len(result.failed)} failed"
        + (f"; {result.passages} passages" if waits else "")
    )
    if result.waiting:
        click.echo(
            f"{result.waiting} passages wait for their vectors; searches find them by words by now."
        )
    if result.changed:
        click.echo(
            f"{len(result.changed)} of those that were there have another size here: "
            "--on-duplicate replace uploads them anew."
        )
    width = max(map(len, result.failed), default=0)
    for name in sorted(result.failed):
        reason = printable(" ".join(result.failed[name].split())[:_SHOWN_REASON_CHARS])
        click.echo(f"  {printable(name):{min(width, 60)}}  {reason}")


def _check_user(url: str, token: str | None, user_id: str) -> None:
    """See that the API knows the user: for one that it does not know, it would take the default."""
    source = Source(url, token)
    try:
        organizations_of(source, user_id)
    finally:
        source.close()


async def ingest(
    folder: str,
    paths: Sequence[Path],
    *,
    url: str,
    token: str | None,
    user_id: str | None,
    embedding: str | None,
    duplicates: str,
    waits: bool,
) -> Result:
    """Put files into a folder of the API at `url`, and tell of it on the terminal.

    Raises:
        InvalidInput: The API refuses us, or is none, or there is no file.
        NotFound: There is no such user.
        Unavailable: Nobody answers.
    """
    folder = _spelled(folder)
    wanted, failed = find_files(paths)
    if not wanted and not failed:
        raise InvalidInput("There is no file at these paths.")
    await check_is_api(url)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    if user_id is not None:
        await asyncio.to_thread(_check_user, url, token, user_id)
        headers["user_id"] = user_id
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_TIMEOUT) as client:
        work = Ingestion(client, duplicates=duplicates)
        work.result.failed.update(failed)
        result = await work.run(folder, wanted, embedding=embedding, waits=waits)
    tell(folder, result, waits=waits)
    return result
