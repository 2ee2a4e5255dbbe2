"""Clients of a server that goes away: keep-alive callers, readers of streams and, where wanted, callers by gRPC.

Each asks until it is sent elsewhere.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import httpx

from autoglm_api import names
from autoglm_pitfalls.grpc_load import GrpcCaller, GrpcTarget
from autoglm_pitfalls.nodes import chat
from autoglm_pitfalls.raw import body

_PATIENCE_SECONDS: Final = 30.0
Complete = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask what, and how to tell that a stream is complete."""

    url: str
    path: str
    payload: dict[str, Any]
    stream_path: str
    stream_payload: dict[str, Any]
    complete: Complete

    @classmethod
    def node(cls, url: str, stream_tokens: int = 24, tokens: int = 8) -> "Target":
        """Ask a node runtime; its streams end in [DONE], and an error in a stream is an end that says so."""
        path = names.PATH_CHAT
        return cls(url, path, chat(tokens), path, chat(stream_tokens, stream=True), _is_done)

    @classmethod
    def triton(cls, url: str, pieces: int = 40) -> "Target":
        """Ask a plain Triton with the models `m` (echo) and `s` (stream of so many pieces)."""
        infer, generate = "/v2/models/m/infer", "/v2/models/s/generate_stream"
        return cls(url, infer, body(), generate, {"x": 1}, lambda text: text.count("data:") == pieces)


def _is_done(text: str) -> bool:
    return "data: [DONE]" in text and '"error"' not in text


@dataclass(slots=True)
class Outcome:
    """What became of the queries that were sent over a connection that was there."""

    answered: int = 0
    sent_elsewhere: int = 0
    lost: int = 0
    streams: int = 0
    grpc: int = 0

    def add(self, other: "Outcome") -> None:
        """Add another's counts."""
        for field in self.__slots__:
            setattr(self, field, getattr(self, field) + getattr(other, field))


class Load:
    """Running clients; `finish` stops those that were not sent elsewhere and counts."""

    def __init__(
        self, target: Target, callers: int, streamers: int, grpc: tuple[GrpcTarget, int] | None = None
    ) -> None:
        """Start so many callers and readers of streams, and callers by gRPC of a target of their own."""
        self._target = target
        self._over = threading.Event()
        self.endings: list[str] = []
        """How calls by gRPC were lost."""
        targets = [grpc[0]] * grpc[1] if grpc is not None else []
        self._pool = ThreadPoolExecutor(callers + streamers + len(targets))
        self._counts: list[Outcome] = []
        self._tasks: list[Future[None]] = []
        for ask in [self._call] * callers + [self._read] * streamers:
            self._counts.append(Outcome())
            self._tasks.append(self._pool.submit(self._client, ask, self._counts[-1]))
        for each in targets:
            self._counts.append(Outcome())
            self._tasks.append(self._pool.submit(self._grpc_client, each, self._counts[-1]))

    @property
    def answered(self) -> int:
        """Queries answered so far."""
        return sum(count.answered for count in self._counts)

    def finish(self) -> Outcome:
        """Let every client end its query and add up what happened to all."""
        self._over.set()
        total = Outcome()
        for task, count in zip(self._tasks, self._counts, strict=True):
            task.result(2 * _PATIENCE_SECONDS)
            total.add(count)
        self._pool.shutdown()
        return total

    def _client(self, ask: Callable[[httpx.Client, Outcome], bool], count: Outcome) -> None:
        with httpx.Client(timeout=_PATIENCE_SECONDS) as client:
            while not self._over.is_set():
                try:
                    if not ask(client, count):
                        return
                except httpx.ConnectError:
                    return  # nothing was sent: not accepted, not lost
                except httpx.TransportError:
                    count.lost += 1

    def _grpc_client(self, target: GrpcTarget, count: Outcome) -> None:
        caller = GrpcCaller(target)
        try:
            while not self._over.is_set():
                ending = caller.ask()
                if ending == "elsewhere":
                    count.sent_elsewhere += 1
                    return
                if ending == "answered":
                    count.answered += 1
                    count.grpc += 1
                else:
                    count.lost += 1
                    self.endings.append(ending)
        finally:
            caller.close()

    def _call(self, client: httpx.Client, count: Outcome) -> bool:
        answer = client.post(f"{self._target.url}{self._target.path}", json=self._target.payload)
        return _counted(count, answer, complete=True)

    def _read(self, client: httpx.Client, count: Outcome) -> bool:
        url, payload = f"{self._target.url}{self._target.stream_path}", self._target.stream_payload
        with client.stream("POST", url, json=payload) as answer:
            text = "".join(answer.iter_text())
            count.streams += answer.status_code == httpx.codes.OK
            return _counted(count, answer, complete=self._target.complete(text))


def _counted(count: Outcome, answer: httpx.Response, *, complete: bool) -> bool:
    """Count an answer; return whether the client should go on asking here."""
    if answer.status_code == httpx.codes.OK and complete:
        count.answered += 1
        return True
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and names.HEADER_DRAINING in answer.headers:
        count.sent_elsewhere += 1
        return False
    count.lost += 1
    return answer.status_code == httpx.codes.OK
