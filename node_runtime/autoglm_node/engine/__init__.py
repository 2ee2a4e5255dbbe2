"""The CPU engine that runs inside Triton's Python backend: continuous batching over ONNX Runtime."""
