"""Fixtures of the tests on a real API server."""

from support.clusters import control_plane

__all__ = ["control_plane"]
