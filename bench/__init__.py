"""Benchmarks; each command measures MoleLens and its alternatives in one run."""
