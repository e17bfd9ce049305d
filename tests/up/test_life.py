"""One data directory, through starts, stops and kills."""

import os
import signal
import stat
import urllib.request

import psutil
import psycopg
import pytest

from tests.support.product import eventually, is_alive
from tests.up.conftest import NewProduct


def test_it_starts_serves_and_stops_leaving_nothing(product: NewProduct) -> None:
    up = product().start()
    with urllib.request.urlopen(f"{up.state['api']}/v1/health/") as answer:
        assert answer.status == 200
    up.write("kept")
    assert up.read() == ["kept"]
    names = {"api", "worker-1", "temporal", "postgres"}
    assert {name for name, pid in up.state["processes"].items() if pid} == names
    assert psutil.Process(up.pid("postgres")).name() == "postgres"
    assert stat.S_IMODE(up.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((up.data_dir / "up.json").stat().st_mode) == 0o600
    assert up.stop() == 0
    assert not up.left()
    assert not (up.data_dir / "up.json").exists()


def test_a_killed_supervisor_takes_everything_along(product: NewProduct) -> None:
    up = product().start()
    up.kill_supervisor()
    assert len(up.family()) > 8  # with guards and the backends of PostgreSQL
    eventually(lambda: not up.left(), within_s=12)


def test_what_was_written_before_everything_was_killed_is_there_again(product: NewProduct) -> None:
    up = product().start()
    up.write("kept")
    up.kill_all()
    again = product().start()
    assert again.read() == ["kept"]


def test_a_start_waits_for_what_a_killed_supervisor_left(product: NewProduct) -> None:
    up = product().start()
    up.write("kept")
    up.kill_supervisor()
    again = product().start()
    assert not up.left()
    assert again.read() == ["kept"]


def test_what_dies_comes_back_as_often_as_it_dies(product: NewProduct) -> None:
    up = product().start()
    up.write("kept")
    address = up.state["temporal_address"]
    for name in ["postgres", "temporal", "api", "worker-1"] * 2:
        up.kill(name)
    eventually(up.database_answers)
    assert up.read() == ["kept"]
    assert up.state["temporal_address"] == address
    assert up.stop() == 0
    assert not up.left()


def test_a_killed_guard_takes_its_program_along(product: NewProduct) -> None:
    up = product().start()
    old = up.pid("postgres")
    guard = psutil.Process(old).parent()
    assert guard is not None
    up.family()
    guard.kill()
    eventually(lambda: up.pid("postgres") not in {old, None})
    eventually(up.database_answers)
    assert not is_alive(old)


def test_a_worker_that_does_not_stop_is_killed_by_a_second_signal(product: NewProduct) -> None:
    up = product(worker="stubborn", worker_grace_s=3600).start()
    api = up.pid("api")
    up.family()
    up.process.send_signal(signal.SIGINT)
    eventually(lambda: not is_alive(api))
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(30) == 0
    assert not up.left()


def test_a_stop_in_the_middle_of_a_start_leaves_nothing(product: NewProduct) -> None:
    up = product()
    process = up.begin()
    eventually(lambda: len(up.family()) > 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not up.left()


def test_two_products_live_side_by_side(product: NewProduct) -> None:
    one, two = product("one"), product("two")
    one.begin()
    two.start()
    one.wait_up()
    one.write("one")
    two.write("two")
    assert (one.read(), two.read()) == (["one"], ["two"])
    assert one.state["temporal_address"] != two.state["temporal_address"]


def test_servers_that_exist_already_are_used(product: NewProduct) -> None:
    one = product("one").start()
    given = {name: one.state[name] for name in ("database_url", "temporal_address")}
    two = product("two", **given).start()
    assert set(two.state["processes"]) == {"api", "worker-1"}
    two.write("two")
    assert one.read() == ["two"]


def test_what_a_stopped_process_of_an_earlier_life_holds_is_taken_from_it(
    product: NewProduct,
) -> None:
    up = product().start()
    worker = up.pid("worker-1")
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    up.kill_supervisor()
    again = product(patience_s=1.0).start()
    assert not is_alive(worker)
    assert again.database_answers()


def test_a_database_that_shuts_down_politely_is_hurried_and_started_again(
    product: NewProduct,
) -> None:
    up = product().start()
    up.write("kept")
    old = up.pid("postgres")
    assert old is not None
    with psycopg.connect(up.state["database_url"], autocommit=True) as staying:
        os.kill(old, signal.SIGTERM)
        eventually(lambda: up.pid("postgres") not in {old, None})
        with pytest.raises(psycopg.OperationalError):
            staying.execute("select 1")
    eventually(up.database_answers)
    assert up.read() == ["kept"]
