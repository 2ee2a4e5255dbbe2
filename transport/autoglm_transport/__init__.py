"""HTTP/1.1 at protocol level, shared by the gateway and the node front.

`server` serves, `client` calls, `admin` is the ready-made admin handler; `reading` and `http` are free of I/O.
"""
