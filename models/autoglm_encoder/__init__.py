"""Makes an embedding model's artefact from a BERT encoder as sentence-transformers publishes it."""
