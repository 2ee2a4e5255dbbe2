"""Asks the shop's questions with the unmodified `openai` client, as any user's program would."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from openai import APIConnectionError, APIStatusError, AsyncOpenAI

from autoglm_api import names
from autoglm_demo.records import OK_STATUS, Record
from autoglm_shop.task import Query, score

STREAM_EVERY = 4


async def ask_all(url: str, model: str, queries: Sequence[Query], at_once: int, records: list[Record]) -> None:
    """Ask every query, `at_once` at a time, every fourth as a stream; append a record for each to `records`.

    The client makes no retries of its own, so what is recorded is what the gateway did.
    """
    places = asyncio.Semaphore(at_once)
    began = monotonic()

    async def one(number: int, query: Query) -> None:
        async with places:
            records.append(await _ask(client, model, query, stream=number % STREAM_EVERY == 0, began=began))

    async with (
        AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=60) as client,
        asyncio.TaskGroup() as group,
    ):
        for number, query in enumerate(queries):
            group.create_task(one(number, query))


async def _ask(client: AsyncOpenAI, model: str, query: Query, *, stream: bool, began: float) -> Record:
    sent = monotonic() - began
    try:
        text, headers, first = await (_stream if stream else _whole)(client, model, query)
    except APIStatusError as error:
        return Record(query.kind, sent, monotonic() - began, status=error.status_code, streamed=stream)
    except APIConnectionError as error:
        return Record(query.kind, sent, monotonic() - began, streamed=stream, error=str(error))
    return Record(
        kind=query.kind,
        sent=sent,
        done=monotonic() - began,
        first_byte=first - began,
        status=OK_STATUS,
        pool=headers.get(names.HEADER_POOL, ""),
        routed=headers.get(names.HEADER_ROUTED_CLASS, ""),
        correct=score(query, text),
        streamed=stream,
        simulated=headers.get(names.HEADER_SIMULATED) == "true",
    )


async def _whole(client: AsyncOpenAI, model: str, query: Query) -> tuple[str, dict[str, str], float]:
    raw = await client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": query.prompt}]
    )
    first = monotonic()
    return raw.parse().choices[0].message.content or "", dict(raw.headers), first


async def _stream(client: AsyncOpenAI, model: str, query: Query) -> tuple[str, dict[str, str], float]:
    raw = await client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": query.prompt}], stream=True
    )
    first, text = 0.0, []
    async for chunk in raw.parse():
        first = first or monotonic()
        text += [choice.delta.content or "" for choice in chunk.choices]
    return "".join(text), dict(raw.headers), first
