"""Embedding models: texts to vectors, several texts in one forward pass."""
