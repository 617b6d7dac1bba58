"""A small HTTP API on uvicorn and Starlette, with its OpenAPI file beside it.

python http_api.py PORT CREDENTIAL

Each request that arrives with the credential is printed as one JSON object per line.
"""

import json
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

PORT, CREDENTIAL = int(sys.argv[1]), sys.argv[2]
ORDERS = {10072: {"id": 10072, "state": "paid"}}


async def seen(request):
    if request.headers.get("authorization") != f"Bearer {CREDENTIAL}":
        return JSONResponse({"error": "not for you"}, 401)
    body = (await request.body()).decode()
    line = {"event": "request", "method": request.method, "url": str(request.url), "body": body}
    print(json.dumps({**line, "headers": sorted(request.headers)}), flush=True)
    return None


async def order(request):
    refused = await seen(request)
    found = ORDERS.get(request.path_params["id"])
    return refused or (JSONResponse(found) if found else JSONResponse({"error": "unknown"}, 404))


async def refund(request):
    refused = await seen(request)
    return refused or JSONResponse({"refunded": json.loads(await request.body())["amount_cents"]})


async def orders(request):
    state = request.query_params.get("state")
    found = [o for o in ORDERS.values() if state in (None, o["state"])]
    return await seen(request) or JSONResponse(found)


routes = [
    Route("/v1/orders", orders),
    Route("/v1/orders/{id:int}", order),
    Route("/v1/orders/{id:int}/refund", refund, methods=["POST"]),
]


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(json.dumps({"event": "ready"}), flush=True)


Server(uvicorn.Config(Starlette(routes=routes), port=PORT, log_level="warning")).run()
