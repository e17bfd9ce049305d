"""A product of its own, into which V1 databases beside it are moved."""

import uuid
from collections.abc import Iterator
from functools import partial

import psycopg
import pytest
from letta_client import Letta

from tests.letta_v1 import schema
from tests.letta_v1.moving import Import, database_url, run_import
from tests.letta_v1.rows import V1
from tests.support.product import Product
from tests.support.provider import FakeProvider


@pytest.fixture(scope="module")
def server(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    env = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": provider.url, "O_WORKERS": "1"}
    product = Product(tmp_path_factory.mktemp("moved") / "o", env)
    product.start()
    yield product
    product.stop()


@pytest.fixture(scope="module")
def client(server: Product) -> Letta:
    return server.client(max_retries=0)


@pytest.fixture
def v1(server: Product) -> Iterator[V1]:
    """An empty V1 database, in the PostgreSQL of the product."""
    name = f"v1_{uuid.uuid4().hex}"
    server.query(f"CREATE DATABASE {name}")
    url = database_url(server, name)
    with psycopg.connect(url, autocommit=True) as connection:
        schema.create(connection)
    database = V1(url)
    yield database
    database.close()
    server.query(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def moved(server: Product, v1: V1) -> Import:
    return partial(run_import, server, v1.url)
