"""Answers: the API, the live models and the stores (layer 2)."""
