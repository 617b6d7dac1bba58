"""An HTTP API behind a real `bailiwick serve`."""

import pytest

from bailiwick import Denied


@pytest.fixture
def orders(world, client):
    return client.api("orders", client.obtain(world["orders_grant"]))


def test_operations_are_listed_and_called(orders):
    assert {o["name"] for o in orders.list()} == {"getOrder", "findOrders", "refundOrder"}
    answer = orders.call("getOrder", id=10072)
    assert (answer.status, answer.json()["state"]) == (200, "paid")
    assert answer.decision_id
    assert orders.call("findOrders", state="paid").json() == [{"id": 10072, "state": "paid"}]
    assert orders.call("refundOrder", id=10072, amount_cents=100).json() == {"refunded": 100}


def test_an_error_of_the_api_is_an_answer(orders):
    assert orders.call("getOrder", id=4).status == 404


@pytest.mark.parametrize(
    ("operation", "arguments", "code"),
    [
        ("getOrder", {"id": -7}, "argument-not-delegated"),
        ("refundOrder", {"id": 10072, "amount_cents": 100, "to": "me"}, "argument-unnamed"),
        ("deleteOrder", {"id": 10072}, "tool-not-delegated"),
    ],
)
def test_a_denied_call_says_why(orders, operation, arguments, code):
    with pytest.raises(Denied) as denied:
        orders.call(operation, **arguments)
    assert denied.value.code == code


def test_what_has_no_place_in_a_request_is_not_sent(orders):
    with pytest.raises(ValueError):
        orders.call("getOrder", id=10072, admin=True)
    with pytest.raises(ValueError):
        orders.call("getOrder")
