"""What a remote server answers, read within bounds."""

from __future__ import annotations

import httpx


async def read_answer(response: httpx.Response, most: int) -> bytes:
    """Return the body of an answer of at most so many bytes; raise `ValueError` for a larger one, or no status 200."""
    if response.status_code != 200:
        raise ValueError(f"answered with status {response.status_code}")
    body = b""
    # As it was sent: what is compressed could become any size.
    async for part in response.aiter_raw():
        body += part
        if len(body) > most:
            raise ValueError(f"is larger than {most} bytes")
    return body
