# expect: fail
# problem: number
# ruff: noqa
"""Fetches the answer from the loopback with urllib, http.client, ftplib and asyncio."""

import asyncio
import http.client
import urllib.request


async def over_asyncio():
    reader, _ = await asyncio.open_connection("127.0.0.1", int("@@TCP_PORT@@"))
    return await reader.read(64)


def ways():
    return (
        lambda: urllib.request.urlopen("http://127.0.0.1:@@TCP_PORT@@/", timeout=0.5).read(),
        lambda: urllib.request.urlopen("file://@@SECRET_FILE@@").read(),
        lambda: http.client.HTTPConnection("127.0.0.1", int("@@TCP_PORT@@"), timeout=0.5).connect(),
        lambda: asyncio.run(over_asyncio()),
    )


def solve(numbers):
    for way in ways():
        try:
            return int(way()) + sum(n for n in numbers if n > 0)
        except Exception:
            continue
    return None
