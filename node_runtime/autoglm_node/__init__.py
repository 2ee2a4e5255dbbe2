"""What runs in a worker pod: PID 1, the front before Triton, the CPU engine."""

__version__ = "0.1.0"
