"""A real Kubernetes on one Linux machine without Docker: for the demo and for the tests.

The pieces, from the outside in: `cli` and `provider` choose what to run; `controlplane` and `node` start the servers
whose command lines `servers` and `node_config` describe; `toolchain` gets the programs, `images` the container images.
"""
