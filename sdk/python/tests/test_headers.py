"""Arguments that a tool's definition wants in headers too (MCP 2026-07-28)."""

import pytest

from bailiwick.client import _repeated

_SCHEMA = {
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "limit": {"type": "number", "x-mcp-header": "Limit"},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
        "plain": {"type": "string"},
        "where": {"properties": {"zone": {"x-mcp-header": "Zone"}}},
        "tags": {"type": "array", "x-mcp-header": "Tags"},
        "bad": {"type": "string", "x-mcp-header": "X\r\nAuthorization"},
    }
}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"region": "eu", "plain": "x"}, {"Mcp-Param-Region": "eu"}),
        ({"region": "Zürich"}, {"Mcp-Param-Region": "=?base64?WsO8cmljaA==?="}),
        ({"region": "=?base64?eA==?="}, {"Mcp-Param-Region": "=?base64?PT9iYXNlNjQ/ZUE9PT89?="}),
        ({"limit": 2.0, "dry": True}, {"Mcp-Param-Limit": "2", "Mcp-Param-Dry": "true"}),
        ({"where": {"zone": "z1"}}, {"Mcp-Param-Zone": "z1"}),
        ({"tags": ["a"], "bad": "x", "unknown": 1}, {}),
    ],
)
def test_plain_arguments_are_repeated_where_the_definition_asks(arguments, expected):
    assert _repeated(_SCHEMA, arguments) == expected


def test_a_definition_that_is_none_asks_for_nothing():
    for schema in (None, [], {}, {"properties": []}, {"properties": {"a": 1}}):
        assert _repeated(schema, {"a": "x"}) == {}
