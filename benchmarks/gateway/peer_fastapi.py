"""The peer: a proxy of the shape that Python routers have: FastAPI, uvicorn and aiohttp's client.

It reads the JSON body for the model's name, picks replicas in turn and streams the answer back. It neither classifies
nor queues nor limits nor measures. `python peer_fastapi.py PORT REPLICA...`, in an environment with its libraries.
"""

import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

REPLICAS = itertools.cycle([f"http://127.0.0.1:{port}" for port in sys.argv[2:]])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one client session."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=300)) as session:
        app.state.session = session
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/chat/completions")
async def relay(request: Request) -> Response:
    """Send the body on and stream the answer back."""
    body = await request.body()
    if (await request.json())["model"] != "shop-assistant":
        return JSONResponse({"error": "model_not_found"}, status_code=404)
    headers = {"content-type": "application/json"}
    answer = await app.state.session.post(f"{next(REPLICAS)}{request.url.path}", data=body, headers=headers)

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.content.iter_any():
                yield chunk
        finally:
            answer.release()

    return StreamingResponse(pieces(), status_code=answer.status, media_type=answer.headers["content-type"])


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
