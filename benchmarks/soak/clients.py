"""The clients of the soak: each kind is a coroutine that does one visit and returns what came of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import orjson

HOST: Final = "127.0.0.1"
_SECONDS: Final = 30.0
_PROMPTS: Final = 2000

Visit = Callable[["Access"], Awaitable[str]]


class Access:
    """Where the gateway is, and the keys that are valid just now."""

    def __init__(self, port: int, keys: list[str]) -> None:
        self.port = port
        self.keys = keys

    def head(self, body: bytes, path: str = "/v1/chat/completions", *, key: str | None = None, more: str = "") -> bytes:
        """Return a request with its body."""
        key = random.choice(self.keys) if key is None else key
        lines = f"POST {path} HTTP/1.1\r\nHost: soak\r\nAuthorization: Bearer {key}\r\n{more}"
        return f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chat(**fields: object) -> bytes:
    """Return a question of a list in which some are far more frequent; a few are nobody else's."""
    number = int(random.paretovariate(1.1)) % _PROMPTS if random.random() < 0.9 else random.getrandbits(60)
    prompt = f"Question {number}: what is the total for {number % 7} lamps?"
    return orjson.dumps({"model": "soak", "messages": [{"role": "user", "content": prompt}], **fields})


async def _read_answer(reader: asyncio.StreamReader) -> str:
    """Read one whole answer and return its status; 'cut' when it breaks off."""
    try:
        async with asyncio.timeout(_SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"transfer-encoding: chunked" in head:
                while (line := await reader.readuntil(b"\r\n")) != b"0\r\n":
                    await reader.readexactly(int(line, 16) + 2)
                await reader.readexactly(2)
            elif b"content-length: " in head:
                await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    except (asyncio.IncompleteReadError, ConnectionError):
        return "cut"
    except TimeoutError:
        return "silence"
    return head[9:12].decode()


async def several(access: Access) -> str:
    """Ask some questions on one connection, as JSON."""
    reader, writer = await asyncio.open_connection(HOST, access.port)
    try:
        status = ""
        for _ in range(random.randrange(1, 12)):
            writer.write(access.head(chat(temperature=0) if random.random() < 0.7 else chat()))
            status = await _read_answer(reader)
            if not status.startswith("2"):
                break
        return status
    finally:
        writer.close()


async def streaming(access: Access) -> str:
    """Read one whole stream."""
    reader, writer = await asyncio.open_connection(HOST, access.port)
    try:
        writer.write(access.head(chat(stream=True, temperature=random.randrange(2))))
        return await _read_answer(reader)
    finally:
        writer.close()


async def leaving(access: Access) -> str:
    """Leave within a stream, or before anything has come."""
    reader, writer = await asyncio.open_connection(HOST, access.port)
    writer.write(access.head(chat(stream=True, max_tokens=400)))
    if random.random() < 0.7:
        await reader.read(random.randrange(1, 3000))
    else:
        await asyncio.sleep(random.random() * 0.01)
    writer.transport.abort()
    return "left"


async def slow_reading(access: Access) -> str:
    """Read a long stream slowly for a while, then leave."""
    reader, writer = await asyncio.open_connection(HOST, access.port, limit=1024)
    writer.write(access.head(chat(stream=True, max_tokens=400)))
    for _ in range(20):
        if not await reader.read(512):
            break
        await asyncio.sleep(0.1)
    writer.transport.abort()
    return "left"


async def slow_sending(access: Access) -> str:
    """Send a request byte by byte, and give up or end it."""
    reader, writer = await asyncio.open_connection(HOST, access.port)
    try:
        text = access.head(chat())
        for place in range(0, len(text), 16):
            writer.write(text[place : place + 16])
            await asyncio.sleep(0.02)
            if random.random() < 0.01:
                return "left"
        return await _read_answer(reader)
    finally:
        writer.close()


async def refused(access: Access) -> str:
    """Send something that must be refused."""
    bad = random.choice(
        [
            access.head(b"{"),
            access.head(chat(), key="agk-wrong"),
            access.head(chat(), "/v1/nothing"),
            access.head(orjson.dumps({"model": "nobody", "messages": [{"role": "user", "content": "a"}]})),
            access.head(b"x" * 70_000),
            access.head(chat(), more="Transfer-Encoding: chunked\r\n"),
            b"GET / HTTP/9.9\r\n\r\n",
            random.randbytes(200),
        ]
    )
    reader, writer = await asyncio.open_connection(HOST, access.port)
    try:
        writer.write(bad)
        return await _read_answer(reader)
    finally:
        writer.close()


async def idle(access: Access) -> str:
    """Connect, say nothing for a while, leave."""
    _, writer = await asyncio.open_connection(HOST, access.port)
    await asyncio.sleep(random.random() * 3)
    writer.transport.abort()
    return "left"


async def fill(access: Access, questions: int, at_once: int = 48) -> None:
    """Ask so many different questions, so that every table of the gateway that has a bound is full afterwards."""
    left = iter(range(questions))

    async def some() -> None:
        reader, writer = await asyncio.open_connection(HOST, access.port)
        for number in left:
            messages = [{"role": "user", "content": f"{number:032d} is asked once. What is it?"}]
            body = orjson.dumps({"model": "soak", "messages": messages, "temperature": 0})
            writer.write(access.head(body, key=access.keys[0]))
            if not (await _read_answer(reader)).startswith("2"):
                writer.close()
                reader, writer = await asyncio.open_connection(HOST, access.port)
        writer.close()

    await asyncio.gather(*(some() for _ in range(at_once)))


KINDS: Final[dict[str, tuple[Visit, int, frozenset[str]]]] = {
    # what it does, how many at once, and what may come of it
    "several": (several, 6, frozenset({"200", "502", "503", "504", "429", "401", "cut"})),
    "streaming": (streaming, 6, frozenset({"200", "502", "503", "504", "429", "401", "cut"})),
    "leaving": (leaving, 3, frozenset({"left"})),
    "slow_reading": (slow_reading, 3, frozenset({"left"})),
    "slow_sending": (slow_sending, 2, frozenset({"200", "502", "503", "504", "429", "401", "left", "cut"})),
    "refused": (refused, 3, frozenset({"400", "401", "404", "413", "505", "cut"})),
    "idle": (idle, 4, frozenset({"left"})),
}
"""A revoked key gives 401, a replica that breaks off gives 'cut' or 502: nothing gives 500 or silence."""
