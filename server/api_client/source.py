"""What commands read of the API: page by page, with patience for an API that restarts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, BinaryIO

import httpx

from o.errors import InvalidInput, NotFound, OError, Unavailable

_TRIES = 5
_FIRST_PAUSE_S = 0.5
_TIMEOUT = httpx.Timeout(300.0, connect=10.0)
_LATER = frozenset({429, 502, 503, 504})
_MAX_PAGE = 200  # messages may be large, and all of a page is held
# Taken for a current client, it is shown no secrets that it does not ask for.
_AGENT = "letta-client/1 (o export)"
_SHOWN_CHARS = 300


class Refused(OError):
    """The key that was sent may not do this."""


class Source:
    """The API of a running server. Everything is read, and nothing is changed."""

    def __init__(self, url: str, token: str | None) -> None:
        """Nothing is asked yet.

        Args:
            url: Where it is, without `/v1`.
            token: Its O_API_TOKEN, None where it has none.
        """
        headers = {"user-agent": _AGENT} | ({"authorization": f"Bearer {token}"} if token else {})
        try:
            self._client = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT)
        except httpx.InvalidURL:
            raise InvalidInput(f"{url[:200]!r} is no address of an API") from None
        self._url = url
        self._as_whom: dict[str, str] = {}

    def as_user(self, user_id: str) -> "Source":
        """The same API over the same connections, asked as a user."""
        other = copy(self)
        other._as_whom = {"user_id": user_id}
        return other

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, path: str, **params: Any) -> Any:
        """What the API answers.

        Raises:
            NotFound: There is no such thing (any more).
            OError: It fails, or refuses (`Refused` where the key may not).
            Unavailable: Nobody answers.
        """
        with self._answer(path, params) as answer:
            answer.read()
            return answer.json()

    def pages(self, path: str, *, limit: int = _MAX_PAGE, **params: Any) -> Iterator[list[Any]]:
        """The pages of a list, the oldest first, until there are no more.

        Raises:
            OError: As `get`.
        """
        after: dict[str, str] = {}
        while page := self.get(path, limit=limit, order="asc", **params, **after):
            yield page
            cursor = page[-1]["id"]
            if after.get("after") == cursor:  # a server that does not page
                return
            after = {"after": cursor}

    def download(self, path: str, file: BinaryIO, **params: Any) -> None:
        """Write an answer into a file, as it comes.

        Raises:
            OError: As `get`; what was written by then stays.
        """
        with self._answer(path, params) as answer:
            for piece in answer.iter_bytes():
                file.write(piece)

    @contextmanager
    def _answer(self, path: str, params: dict[str, Any]) -> Iterator[httpx.Response]:
        for left in reversed(range(_TRIES)):
            try:
                request = self._client.build_request(
                    "GET", f"/v1/{path}", params=params, headers=self._as_whom
                )
                answer = self._client.send(request, stream=True)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                raise InvalidInput(
                    f"{self._url[:200]!r} is no address of an API: write http://host:port"
                ) from None
            except httpx.TransportError as error:
                if not left:
                    raise self._away(error) from None
            else:
                if answer.status_code not in _LATER or not left:
                    break
                answer.close()
            time.sleep(_FIRST_PAUSE_S * 2 ** (_TRIES - 1 - left))
        try:
            if answer.status_code != 200:
                raise _refused(answer)
            yield answer
        except httpx.TransportError as error:
            raise self._away(error) from None
        except (ValueError, RecursionError):
            raise InvalidInput(f"What answers at {self._url[:200]} is no API of O") from None
        finally:
            answer.close()

    def _away(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(
            f"Nobody answers at {self._url[:200]}: {type(error).__name__}. "
            "Start O, or say where it is with --url."
        )


def _refused(answer: httpx.Response) -> OError:
    """What the API said when it said no."""
    answer.read()
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"status {answer.status_code}"
    if answer.status_code == 401:
        return InvalidInput("The API wants its token: set O_API_TOKEN.")
    kinds: dict[int, type[OError]] = {403: Refused, 404: NotFound}
    return kinds.get(answer.status_code, OError)(detail[:_SHOWN_CHARS])
