"""Against a real `bailiwick serve`."""

import os

import pytest

from bailiwick import Chain, Client, Denied, InstanceKeys, Refused, Unavailable


def test_an_instance_obtains_a_delegation_and_calls_a_tool(desk):
    result = desk.call("get_order", order_id=10072)
    assert not result.get("isError"), result
    assert result["_meta"]["io.bailiwick/decision"]["id"]


def test_a_listing_shows_what_is_permitted_and_nothing_else(desk):
    runs = {"run_begin", "note_context", "note_progress", "complete_task"}
    shown = {tool["name"] for tool in desk.list()}
    assert shown - runs == {"get_order", "list_orders", "request_authority"}
    assert runs < shown


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("get_ticket", {"ticket_id": 8821}, "tool-not-delegated"),
        ("get_order", {"order_id": -1}, "argument-not-delegated"),
        ("get_order", {"order_id": 10072, "größe": 1.5}, "argument-unnamed"),
    ],
)
def test_a_denial_says_what_happened_and_what_to_do(desk, tool, arguments, code):
    with pytest.raises(Denied) as denied:
        desk.call(tool, **arguments)
    assert denied.value.code == code
    assert denied.value.reason and denied.value.remedy and denied.value.decision_id


def test_another_key_than_the_holders_is_not_known(world, client):
    chain = client.obtain(world["grant"])
    stranger = Client(world["url"], InstanceKeys.read(world["other_key"]))
    tools = stranger.tools("support-desk", chain)
    for ask in (lambda: tools.call("get_order", order_id=10072), tools.list):
        with pytest.raises(Denied) as denied:
            ask()
        assert denied.value.code == "unauthenticated"
        assert "get_order" not in str(denied.value)


def test_a_scope_narrows_and_never_widens(world, client):
    with pytest.raises(Refused):
        client.obtain(world["grant"], scope="refund:10072")


def test_nobody_obtains_under_anothers_grant_or_none(world, client):
    other = Client(world["url"], InstanceKeys.read(world["other_key"]))
    for who, grant in [(other, world["grant"]), (client, "0198c1b2-0000-7000-8000-000000000001")]:
        with pytest.raises(Refused) as refused:
            who.obtain(grant)
        assert refused.value.code


def test_a_chain_file_is_read_as_it_was_written(world, client):
    chain = Chain.read(world["chain"])
    result = client.tools("support-desk", chain).call("list_orders", customer_id=1007)
    assert not result.get("isError"), result
    assert chain.leaf not in repr(chain)


def test_a_key_file_that_others_can_read_is_not_taken(world, tmp_path):
    copy = tmp_path / "open.key"
    copy.write_bytes(open(world["key"], "rb").read())
    os.chmod(copy, 0o644)
    with pytest.raises(PermissionError):
        InstanceKeys.read(copy)


def test_plain_http_elsewhere_and_a_silent_port_are_told(world):
    keys = InstanceKeys.read(world["key"])
    with pytest.raises(ValueError):
        Client("http://gate.example.com", keys)
    with pytest.raises(Unavailable):
        Client("http://127.0.0.1:9", keys).obtain(world["grant"])
