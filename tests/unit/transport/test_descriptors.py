"""How many clients the descriptors are enough for."""

import pytest

from autoglm_transport.descriptors import affordable_connections


@pytest.mark.parametrize(
    ("wanted", "descriptors", "affordable"), [(10_000, 1 << 20, 10_000), (10_000, 4096, 1920), (10_000, 64, 16)]
)
def test_every_client_may_need_a_socket_to_a_replica_too(wanted: int, descriptors: int, affordable: int) -> None:
    assert affordable_connections(wanted, descriptors) == affordable
