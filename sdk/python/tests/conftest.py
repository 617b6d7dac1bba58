"""A real `bailiwick serve` with a support desk; where they are stands in BAILIWICK_TEST."""

import json
import os

import pytest

from bailiwick import Client, InstanceKeys


@pytest.fixture(scope="session")
def world():
    return json.loads(os.environ["BAILIWICK_TEST"])


@pytest.fixture
def client(world):
    return Client(world["url"], InstanceKeys.read(world["key"]))


@pytest.fixture
def desk(world, client):
    return client.tools("support-desk", client.obtain(world["grant"]))
