"""What answers at an address that somebody gave, asked for a moment: it may be no server of O.

Another program may send its answer byte by byte, without an end, or nested as no parser takes it.
"""

from dataclasses import dataclass
from typing import Any

import aiohttp

from o.domain.json_bounds import parse_json
from o.errors import InvalidInput, Unavailable

_MOST_BYTES = 4 << 20
_PATIENCE_S = 10.0
_SHOWN_CHARS = 200


class NoAnswer(Exception):
    """Nobody answers at an address as servers do; the text says why, and begins with `it`."""


class NobodyListens(NoAnswer):
    """There is no connection."""


@dataclass(frozen=True)
class Answer:
    """What was answered: the status, and the whole body."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says; None where it is no JSON, or more than anybody reads."""
        try:
            return parse_json(self.body)
        except ValueError:
            return None

    def says(self, key: str) -> str | None:
        """What it says of something, as text; None where it says nothing of it."""
        found = self.json
        said = found.get(key) if isinstance(found, dict) else None
        return None if said is None else str(said)


async def ask(
    url: str, *, within_s: float, token: str | None = None, trust_env: bool = False
) -> Answer:
    """The answer to a GET, asked for once. A redirection is not followed: the token stays here.

    Args:
        url: Of what is asked for.
        within_s: Seconds until all of it is here.
        token: Sent with it.
        trust_env: Whether the way is by the proxy that the environment names.

    Raises:
        NoAnswer: There is none within the time and four megabytes.
    """
    headers = {"accept-encoding": "identity"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    timeout = aiohttp.ClientTimeout(total=within_s)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=timeout, headers=headers, trust_env=trust_env, auto_decompress=False
            ) as client,
            client.get(url, allow_redirects=False) as answer,
        ):
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > _MOST_BYTES:
                    raise NoAnswer("its answer has no end")
            return Answer(answer.status, bytes(body))
    except TimeoutError:
        raise NoAnswer(f"it does not answer within {within_s:.0f} s") from None
    except aiohttp.ClientConnectorError as error:
        raise NobodyListens(f"it does not answer ({type(error).__name__})") from None
    except aiohttp.InvalidURL:
        raise NoAnswer("it is no address, such as http://127.0.0.1:8283") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise NoAnswer(f"it does not answer ({type(error).__name__})") from None


async def check_is_api(url: str) -> None:
    """See that it is O's API, if anybody's, before anything is asked or sent.

    One that is away for a moment passes: whoever asks it next has patience.

    Raises:
        InvalidInput: Something else answers.
        Unavailable: It does not end its answer.
    """
    try:
        answer = await ask(f"{url}/v1/health/", within_s=_PATIENCE_S, trust_env=True)
    except NobodyListens:
        return
    except NoAnswer as error:
        raise Unavailable(f"{url[:_SHOWN_CHARS]} is no API of O: {error}") from None
    if answer.status < 500 and answer.says("status") != "ok":
        raise InvalidInput(
            f"{url[:_SHOWN_CHARS]} is no API of O, which would say at /v1/health/ that it is well: "
            "say where it is with --url"
        )
