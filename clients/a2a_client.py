"""A2A's own client from PyPI, which knows one URL, beside what proves each request of it.

python a2a_client.py URL SERVER CHAIN KEY JWKS BINDING

It finds the agent's card, verifies its signature with the published keys, and plays a task from its
beginning to its end. What happens is printed as one JSON object per line.
"""

import asyncio
import json
import sys
import urllib.parse
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent / "sdk/python"))
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory  # noqa: E402
from a2a.helpers.proto_helpers import new_text_message  # noqa: E402
from a2a.types import a2a_pb2 as pb  # noqa: E402
from a2a.utils.signing import create_signature_verifier  # noqa: E402
from bailiwick import Chain, InstanceKeys  # noqa: E402
from bailiwick.api import prove  # noqa: E402
from google.protobuf.json_format import MessageToDict  # noqa: E402
from jwt import PyJWKSet  # noqa: E402

URL, SERVER, CHAIN, KEY, JWKS, BINDING = sys.argv[1:7]
chain, keys = Chain.read(CHAIN), InstanceKeys.read(KEY)


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def asked(request):
    """Operation and arguments of a request of either binding."""
    body = json.loads(request.content) if request.content else {}
    path = request.url.path.removeprefix(urllib.parse.urlparse(URL).path)
    if not path:
        return body["method"], body.get("params", {})
    named = {"/message:send": "SendMessage", "/message:stream": "SendStreamingMessage"}
    if path in named:
        return named[path], body
    query = {name: int(v) if v.isdigit() else v for name, v in request.url.params.items()}
    if path == "/tasks":
        return "ListTasks", query
    task, _, verb = path.removeprefix("/tasks/").partition(":")
    named = {"cancel": "CancelTask", "subscribe": "SubscribeToTask"}
    return named.get(verb, "GetTask"), {**query, **body, "id": task}


class Proves(httpx.Auth):
    requires_request_body = True

    def auth_flow(self, request):
        if not request.url.path.endswith("/agent-card.json"):
            operation, arguments = asked(request)
            request.headers["AAT-Chain"] = ",".join(chain.tokens)
            request.headers["AAT-PoP"] = prove(keys, chain, f"a2a:{SERVER}:{operation}", arguments)
        yield request


async def refused(work):
    try:
        found = await work
    except Exception as error:  # noqa: BLE001
        return {"type": type(error).__name__, "text": str(error)}
    return {"type": "", "text": str(found)}


async def main():
    http = httpx.AsyncClient(auth=Proves(), timeout=30)
    published = PyJWKSet.from_dict((await httpx.AsyncClient().get(JWKS)).json())
    verify = create_signature_verifier(lambda kid, _jku: published[kid], ["ES256"])
    card = await A2ACardResolver(http, URL).get_agent_card(signature_verifier=verify)
    say("card", name=card.name, interfaces=[i.url for i in card.supported_interfaces])

    config = ClientConfig(httpx_client=http, streaming=False, supported_protocol_bindings=[BINDING], use_client_preference=True)
    client = ClientFactory(config).create(card)

    async def send(text, **more):
        message = new_text_message(text, role=pb.ROLE_USER, **more)
        return [MessageToDict(e) async for e in client.send_message(pb.SendMessageRequest(message=message))]

    say("message", events=await send("hello"))
    say("task", events=await send("refund?"))
    waiting = (await send("wait"))[0]["task"]
    say("waiting", task=waiting)
    task = waiting["id"]
    say("got", task=MessageToDict(await client.get_task(pb.GetTaskRequest(id=task, history_length=3))))
    say("listed", tasks=[t.id for t in (await client.list_tasks(pb.ListTasksRequest())).tasks])
    say("goes on", events=await send("refund?", task_id=task, context_id=waiting["contextId"]))
    say("ended", error=await refused(send("refund?", task_id=task, context_id=waiting["contextId"])))
    other = (await send("wait"))[0]["task"]["id"]
    say("cancelled", task=MessageToDict(await client.cancel_task(pb.CancelTaskRequest(id=other))))
    say("unknown", error=await refused(client.get_task(pb.GetTaskRequest(id="no-such-task"))))

    config.streaming = True
    client = ClientFactory(config).create(card)
    say("streamed", events=await send("refund?"))
    say("done")


asyncio.run(main())
