"""A tool as users write them: it posts with the usual clients, and tells what came of it."""

import asyncio
import urllib.request

import aiohttp
import httpx
import requests


def reach(urls: list[str]) -> dict[str, list[str]]:
    """Post to each address with each client."""

    def with_urllib(url: str) -> str:
        asked = urllib.request.Request(url, data=b"hello")
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return str(answer.read().decode())

    def with_requests(url: str) -> str:
        answer = requests.post(url, data=b"hello", timeout=20)
        answer.raise_for_status()
        return str(answer.text)

    def with_httpx(url: str) -> str:
        answer = httpx.post(url, content=b"hello", timeout=20, follow_redirects=True)
        answer.raise_for_status()
        return str(answer.text)

    async def asking(url: str) -> str:
        async with (
            aiohttp.ClientSession(trust_env=True, raise_for_status=True) as session,
            session.post(url, data=b"hello") as answer,
        ):
            return await answer.text()

    def with_aiohttp(url: str) -> str:
        return asyncio.run(asking(url))

    found: dict[str, list[str]] = {}
    for ask in (with_urllib, with_requests, with_httpx, with_aiohttp):
        for url in urls:
            try:
                told = ask(url)
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
            found.setdefault(ask.__name__.removeprefix("with_"), []).append(told)
    return found
