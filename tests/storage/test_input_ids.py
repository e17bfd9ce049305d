"""The id of an input message is the same in SQL as in Python."""

from o.domain.messages import input_message_id
from o.ids import new_id
from tests.support.product import Product


def test_an_input_message_has_one_id_whoever_computes_it(server: Product) -> None:
    for run_id in (new_id("run") for _ in range(20)):
        for place in (0, 1, 17):
            found = server.query("SELECT o_input_message_id(%s, %s)", run_id, place)
            assert found == [(input_message_id(run_id, place),)]
