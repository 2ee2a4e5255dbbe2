"""The peer: a plain proxy on aiohttp (server and client) and uvloop, written as its documentation shows it.

It reads the JSON body for the model's name, picks replicas in turn and relays. It neither classifies nor queues nor
limits nor measures, so it does less than the gateway does. `python peer_aiohttp.py PORT...` prints its port.
"""

import asyncio
import sys
from collections import deque

import orjson
import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

SESSION = web.AppKey("session", ClientSession)
PORTS = web.AppKey("ports", deque[int])


async def relay(request: web.Request) -> web.StreamResponse:
    """Send the body on and stream the answer back."""
    body = await request.read()
    if orjson.loads(body)["model"] != "shop-assistant":
        return web.json_response({"error": "model_not_found"}, status=404)
    ports = request.app[PORTS]
    ports.rotate(1)
    url = f"http://127.0.0.1:{ports[0]}{request.path}"
    headers = {"content-type": "application/json"}
    async with request.app[SESSION].post(url, data=body, headers=headers) as answer:
        response = web.StreamResponse(status=answer.status, headers={"content-type": answer.headers["content-type"]})
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def serve(ports: list[int]) -> None:
    """Serve until the process is ended."""
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app[PORTS] = deque(ports)
    app[SESSION] = ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=300))
    app.router.add_post("/v1/chat/completions", relay)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve([int(port) for port in sys.argv[1:]]))
