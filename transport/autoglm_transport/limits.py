"""What a client may send and how long it may take: one object per server, changeable while it runs."""

from dataclasses import dataclass


@dataclass(slots=True)
class Limits:
    """Bounds of one server; a changed value holds from the next request (or the next timer tick) on.

    Sizes are bytes, times are seconds. `max_header_bytes` covers request line and headers together;
    `header_timeout_seconds` also bounds how long a fresh connection may stay silent. `max_held_bytes` covers the bodies
    of all requests that are being answered or wait for it; one request alone is never too large for it.
    """

    max_header_bytes: int = 32768
    max_headers: int = 100
    max_body_bytes: int = 4 * 1024 * 1024
    header_timeout_seconds: float = 10
    body_timeout_seconds: float = 30
    idle_timeout_seconds: float = 75
    write_timeout_seconds: float = 60
    max_connections: int = 10_000
    max_held_bytes: int = 256 * 1024 * 1024

    def raw_body_bytes(self) -> int:
        """Return how many bytes one message may take on the wire, chunk framing and trailers included."""
        return 8 * self.max_body_bytes + self.max_header_bytes
