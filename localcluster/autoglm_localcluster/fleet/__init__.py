"""The fleet: one process that answers for every simulated replica, each at its own address.

It owns the addresses of all pods on fake GPU nodes and tells replicas apart by the address a client has connected to.
Everything before the engine is real; the engine is a stopwatch. Every answer says `x-autoglm-simulated: true`.
"""
