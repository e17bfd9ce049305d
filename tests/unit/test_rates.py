"""What a name may take in a time: exact, small in memory, and no matter of the time of day."""

import random

import pytest
from pydantic import ValidationError

from api.edge.clients import address_of
from o.rates import Meter, Rate
from o.settings.all import Settings


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_at_once_and_then_so_many_a_period() -> None:
    clock = Clock()
    meter = Meter(Rate(3, 60.0), clock=clock)
    assert [meter.take("ada") for _ in range(3)] == [0, 0, 0]
    assert meter.take("ada") == pytest.approx(20)
    assert meter.take("ada") == pytest.approx(20), "what is refused costs nothing"
    assert meter.take("bob") == 0, "another name has a rate of its own"
    clock.now += 19.9
    assert meter.take("ada") > 0
    clock.now += 0.1
    assert meter.take("ada") == 0
    clock.now += 3_600
    assert [meter.take("ada") > 0 for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("amount", [1, 3, 7, 600])
def test_who_waits_as_long_as_he_is_told_is_let_in(amount: int) -> None:
    clock = Clock()
    meter = Meter(Rate(amount, 1.0), clock=clock)
    for _ in range(5 * amount):
        if wait_s := meter.take("ada"):
            clock.now += wait_s
            assert meter.take("ada") == 0
    assert clock.now - 1_000 == pytest.approx(4, abs=0.01)


def test_made_up_names_take_no_memory_and_no_turn_of_who_was_there() -> None:
    clock = Clock()
    meter = Meter(Rate(10, 60.0), clock=clock)
    for _ in range(10):
        meter.take("ada")
    for n in range(100_000):
        assert meter.take(f"made up {n}") == 0
        clock.now += 0.000_01
    assert meter.names <= 10_000
    assert meter.take("ada") > 0, "who took the most is not forgotten for those who took little"
    clock.now += 120
    for n in range(10_000):
        meter.take(f"later {n}")
    assert meter.names <= 10_000


def test_a_machine_that_slept_owes_nobody_anything() -> None:
    """The clock of the process only goes on; a jump of it is a long rest and no more."""
    clock = Clock()
    meter = Meter(Rate(2, 1.0), clock=clock)
    for _ in range(1_000):
        clock.now += random.choice([0, 0.1, 1e6])
        meter.take("ada")
    clock.now += 1
    assert [meter.take("ada") > 0 for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:db8:1:2::"),
        (("2001:db8:1:2:ffff::1", 1), "2001:db8:1:2::"),
        (("fe80::1%eth0", 1), "fe80::"),
        (("unknown", 0), "elsewhere"),
        (("_hidden", 0), "elsewhere"),
        (("<script>" * 10_000, 0), "elsewhere"),
        (None, "elsewhere"),
    ],
)
def test_whom_a_request_without_a_key_is_counted_to(client: object, name: str) -> None:
    assert address_of({"type": "http", "client": client}) == name


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("O_RATE_LIMIT", "0/second", "no rate"),
        ("O_RATE_LIMIT", "10", "no rate"),
        ("O_RATE_LIMIT", "10/day", "no rate"),
        ("O_RATE_LIMIT", "-1/second", "no rate"),
        ("O_TRUSTED_PROXIES", "*", "no address or network"),
        ("O_TRUSTED_PROXIES", "proxy", "no address or network"),
        ("O_TRUSTED_PROXIES", "10.0.0.1,0.0.0.0/0", "everybody"),
        ("O_TRUSTED_PROXIES", "::/0", "everybody"),
        ("O_USER_QUEUE_LIMIT", "0", "greater than or equal to 1"),
    ],
)
def test_settings_that_would_let_everybody_or_nobody_in_are_refused(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match=said):
        Settings()


def test_settings_of_limits_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().rate_limit is None
    assert Settings().trusted_proxies == ()
    monkeypatch.setenv("O_RATE_LIMIT", " 600/Minute")
    monkeypatch.setenv("O_TRUSTED_PROXIES", "10.0.0.7, 10.1.2.3/8,::1")
    assert Settings().rate_limit == Rate(600, 60.0)
    assert Settings().trusted_proxies == ("10.0.0.7/32", "10.0.0.0/8", "::1/128")
