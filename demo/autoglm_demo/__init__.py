"""The demo: drives the whole product on a real cluster and checks its own claims."""
