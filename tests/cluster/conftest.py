"""Fixtures of the tests on a real API server."""

from support.clusters import control_plane
from support.operators import crd, installable, operator, world

__all__ = ["control_plane", "crd", "installable", "operator", "world"]
