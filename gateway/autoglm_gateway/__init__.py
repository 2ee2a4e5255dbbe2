"""The request path: classify, queue, pick, stream."""
