"""Measures what the service costs and how fast it is: `make bench`. `python -m benchmarks --help` tells the rest."""
