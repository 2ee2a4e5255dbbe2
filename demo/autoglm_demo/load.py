"""Traffic: open-loop arrivals that follow a curve, and closed-loop shoppers; both bounded in count and time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import orjson

from autoglm_api import names
from autoglm_demo.records import OK_STATUS, Record
from autoglm_demo.wire import Answer, Wire
from autoglm_shop.task import Kind, Query, demo_queries, score

EVENT_PREFIX = b"data: "
LAST_EVENT = b"[DONE]"
NOT_SENT = "not sent: the generator is at its limit"


@dataclass(slots=True)
class Traffic:
    """Sends queries to one gateway and keeps a record of each.

    `timeout_seconds` bounds every query. A query that would be one more than `most_open` is not sent: it is recorded
    as a failure of the generator, never hidden.
    """

    wire: Wire
    model: str
    max_tokens: int | None = None
    timeout_seconds: float = 60.0
    most_open: int = 2000
    records: list[Record] = field(default_factory=list)
    open: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    began: float = 0.0

    def start(self) -> None:
        """Begin a phase: forget the records and set its clock to 0."""
        self.records, self.began = [], asyncio.get_running_loop().time()

    @property
    def now(self) -> float:
        """Seconds since the phase began."""
        return asyncio.get_running_loop().time() - self.began

    async def ask(self, query: Query, *, stream: bool = False) -> Record:
        """Send one query and return its record, whatever happens to it."""
        self.open[query.kind] += 1
        return await self._asked(query, stream=stream)

    async def _asked(self, query: Query, *, stream: bool) -> Record:
        """Send a query that is already counted as open."""
        sent = self.now
        try:
            async with asyncio.timeout(self.timeout_seconds):
                body = chat_body(self.model, query, stream=stream, max_tokens=self.max_tokens)
                answer = await self.wire.post(names.PATH_CHAT, body)
            record = self._record(query, sent, answer, stream=stream)
        except (OSError, TimeoutError) as error:
            record = Record(query.kind, sent, self.now, streamed=stream, error=str(error) or type(error).__name__)
        finally:
            self.open[query.kind] -= 1
        self.records.append(record)
        return record

    async def follow(self, arrivals: Iterable[float], queries: Iterator[Query]) -> None:
        """Open loop: send a query at each arrival time, whether or not earlier ones were answered."""
        async with asyncio.TaskGroup() as group:
            for at in arrivals:
                await asyncio.sleep(max(at - self.now, 0))  # when late, still lets open queries go on
                query = next(queries)
                if sum(self.open.values()) >= self.most_open:
                    self.records.append(Record(query.kind, self.now, self.now, error=NOT_SENT))
                else:
                    self.open[query.kind] += 1  # now, not when the task first runs: arrivals may come in one burst
                    group.create_task(self._asked(query, stream=False))

    @contextlib.asynccontextmanager
    async def shoppers(self, count: int, queries: Iterator[Query], *, stream: bool = False) -> AsyncIterator[None]:
        """Closed loop: `count` shoppers ask one query after the other until the block ends.

        Queries that are open when the block ends are finished, not cut off.
        """
        leaving = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._shop(queries, leaving, stream=stream))
            try:
                yield
            finally:
                leaving.set()

    async def _shop(self, queries: Iterator[Query], leaving: asyncio.Event, *, stream: bool) -> None:
        while not leaving.is_set():
            record = await self.ask(next(queries), stream=stream)
            if not record.answered:
                await asyncio.sleep(0.2)

    def _record(self, query: Query, sent: float, answer: Answer, *, stream: bool) -> Record:
        text, error = (streamed_text if stream else whole_text)(answer.body) if answer.status == OK_STATUS else ("", "")
        return Record(
            kind=query.kind,
            sent=sent,
            done=answer.done - self.began,
            first_byte=answer.first_byte - self.began,
            status=answer.status,
            pool=answer.headers.get(names.HEADER_POOL, ""),
            routed=answer.headers.get(names.HEADER_ROUTED_CLASS, ""),
            correct=score(query, text),
            streamed=stream,
            simulated=answer.headers.get(names.HEADER_SIMULATED) == "true",
            error=error,
        )


def endless(seed: int, kind: Kind, among: int = 400) -> Iterator[Query]:
    """Held-out queries of one kind without end: different ones, over and over."""
    return cycle([query for query in demo_queries(seed, among) if query.kind is kind])


def chat_body(model: str, query: Query, *, stream: bool = False, max_tokens: int | None = None) -> bytes:
    """The query as a chat completion request."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": query.prompt}], "stream": stream}
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    return orjson.dumps(body)


def whole_text(body: bytes) -> tuple[str, str]:
    """Text and error of a JSON answer."""
    try:
        return str(orjson.loads(body)["choices"][0]["message"]["content"]), ""
    except (ValueError, LookupError, TypeError) as error:
        return "", f"unreadable answer: {type(error).__name__}"


def streamed_text(body: bytes) -> tuple[str, str]:
    """Text and error of a stream of server-sent events; a stream without its last event is an error."""
    text: list[str] = []
    ended = False
    for line in body.splitlines():
        if not line.startswith(EVENT_PREFIX):
            continue
        if (event := line.removeprefix(EVENT_PREFIX)) == LAST_EVENT:
            ended = True
            continue
        part, error = _event_text(orjson.loads(event))
        if error:
            return "".join(text), error
        text.append(part)
    return "".join(text), "" if ended else "the stream has no last event"


def _event_text(event: dict[str, Any]) -> tuple[str, str]:
    if failure := event.get("error"):
        return "", f"error event: {failure.get('message', failure) if isinstance(failure, dict) else failure}"
    choices = event.get("choices") or [{}]
    return choices[0].get("delta", {}).get("content") or "", ""
