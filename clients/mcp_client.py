"""The stock MCP client of PyPI, as a user writes it: it knows one URL, registers
itself, sends the user to the browser and calls tools.

    python mcp_client.py URL CALLS [FILE]

CALLS is JSON: [{"tool": NAME, "arguments": {…}}]. What happens is printed as one
JSON object per line; `authorize` names the URL for the user's browser. With FILE the
client opens pages for its user: `visit` names them, and the user is back when FILE
is there.
"""

import asyncio
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlparse

import httpx2
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata
from mcp.shared.exceptions import MCPError, UrlElicitationRequiredError
from mcp_types import URL_ELICITATION_REQUIRED, ElicitResult


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


class Memory(TokenStorage):
    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens
        say("tokens", token_type=tokens.token_type, expires_in=tokens.expires_in)

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info
        say("registered", client_id=client_info.client_id)


class Callback(BaseHTTPRequestHandler):
    arrived = []

    def do_GET(self):
        at = urlparse(self.path)
        self.send_response(200 if at.path == "/callback" else 404)
        self.end_headers()
        if at.path == "/callback":
            self.wfile.write(b"You may close this page.")
            self.arrived.append(parse_qs(at.query))

    def log_message(self, *_):
        pass


async def visit(page, back):
    say("visit", mode=page.mode, url=page.url, message=page.message)
    while not os.path.exists(back):
        await asyncio.sleep(0.05)
    return ElicitResult(action="accept")


async def call_tool(session, call, back):
    try:
        return await session.call_tool(call["tool"], call["arguments"])
    except MCPError as error:
        # It is the program's to send its user there and to call again.
        if not back or error.error.code != URL_ELICITATION_REQUIRED:
            raise
        for page in UrlElicitationRequiredError.from_error(error.error).elicitations:
            await visit(page, back)
        return await session.call_tool(call["tool"], call["arguments"])


async def main(url, calls, back=None):
    listener = HTTPServer(("127.0.0.1", 0), Callback)
    Thread(target=listener.serve_forever, daemon=True).start()
    redirect = f"http://127.0.0.1:{listener.server_port}/callback"

    async def to_browser(target):
        say("authorize", url=target)

    async def from_browser():
        while not Callback.arrived:
            await asyncio.sleep(0.05)
        found = {name: values[0] for name, values in Callback.arrived.pop(0).items()}
        return AuthorizationCodeResult(
            code=found.get("code"), state=found.get("state"), iss=found.get("iss")
        )

    provider = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata(
            client_name="desk script",
            redirect_uris=[redirect],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        ),
        storage=Memory(),
        redirect_handler=to_browser,
        callback_handler=from_browser,
    )
    # Looks on; what is done about it is the client's own.
    async def watch(response):
        if response.status_code == 403:
            say("challenged", challenge=response.headers.get("www-authenticate"))

    hooks = {"response": [watch]}
    async with httpx2.AsyncClient(auth=provider, timeout=60, event_hooks=hooks) as http:
        async with streamable_http_client(url, http_client=http) as streams:
            opens = (lambda _, page: visit(page, back)) if back else None
            async with ClientSession(
                streams[0], streams[1], elicitation_callback=opens
            ) as session:
                await session.initialize()
                listed = await session.list_tools()
                say("tools", tools=sorted(tool.name for tool in listed.tools))
                for call in calls:
                    try:
                        result = await call_tool(session, call, back)
                        say("result", tool=call["tool"], is_error=bool(result.is_error))
                    except Exception as error:  # the refusal is what is looked at
                        say("refused", tool=call["tool"], message=str(error))
    listener.shutdown()
    say("done")


asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), *sys.argv[3:]))
