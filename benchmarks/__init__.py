"""How fast it is, next to a bare control and to its peers: ``python -m benchmarks``."""
