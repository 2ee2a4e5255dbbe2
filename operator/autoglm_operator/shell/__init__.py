"""Everything that touches the world: kopf handlers, API client, Prometheus client."""
