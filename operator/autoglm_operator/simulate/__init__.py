"""Simulation of a pool under a trace: how a scaling policy would have done. Pure: seeded chance, virtual time."""
