"""Control plane: pure `core` and `scaling`, and the `shell` that touches the world."""
