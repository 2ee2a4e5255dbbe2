"""How many clients and upstreams the descriptors are enough for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_transport.descriptors import affordable_connections, affordable_upstreams


@pytest.mark.parametrize(
    ("descriptors", "upstreams", "affordable"),
    [
        (1 << 20, 0, 10_000),
        (1 << 20, 900_000, 10_000),
        (20_000, 100, 10_000),
        (20_000, 50_000, 9_872),
        (4096, 1000, 2840),
        (4096, 3000, 1920),
        (64, 0, 16),
        (64, 9, 16),
    ],
)
def test_as_many_clients_as_there_are_sockets_for_them_and_their_replicas(
    descriptors: int, upstreams: int, affordable: int
) -> None:
    assert affordable_connections(10_000, descriptors, upstreams) == affordable


@given(st.integers(1, 100_000), st.integers(300, 2_000_000), st.integers(0, 2_000_000))
def test_clients_and_those_of_them_that_are_served_have_a_socket_each(
    wanted: int, descriptors: int, slots: int
) -> None:
    clients = affordable_connections(wanted, descriptors, slots)
    upstreams = affordable_upstreams(clients, descriptors)
    assert clients <= max(16, wanted)
    assert upstreams >= min(clients, slots) or clients == 16
    assert clients + upstreams <= descriptors - 256 or 16 in {clients, upstreams}
