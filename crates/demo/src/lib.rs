//! The bundled support desk (a real MCP server) and an agent's MCP client, for the demo and the tests.
