"""The real Triton for tests: the same tree that goes into the node image."""

from autoglm_localcluster.triton import triton_root

__all__ = ["triton_root"]
