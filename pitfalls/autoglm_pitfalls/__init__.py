"""Triton's pitfalls: each as a scenario, the plain server beside our node runtime."""
