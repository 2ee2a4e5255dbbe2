"""HTTP/1.1 at protocol level, shared by the gateway and the node front."""
