"""The stock MCP client of PyPI over standard streams.

python stdio_client.py CALLS COMMAND [ARGUMENT...]

What happens is printed as one JSON object per line.
"""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


async def main():
    calls, command, *args = sys.argv[1:]
    async with stdio_client(StdioServerParameters(command=command, args=args)) as (read, write):
        async with ClientSession(read, write) as session:
            opened = await session.initialize()
            say("connected", server=opened.server_info.name)
            say("tools", tools=sorted(tool.name for tool in (await session.list_tools()).tools))
            for call in json.loads(calls):
                try:
                    result = await session.call_tool(call["tool"], call["arguments"])
                    text = "\n".join(getattr(item, "text", "") for item in result.content)
                    say("result", tool=call["tool"], is_error=bool(result.is_error), text=text)
                except MCPError as error:
                    say("refused", tool=call["tool"], code=error.error.code, data=error.error.data)
    say("done")


asyncio.run(main())
