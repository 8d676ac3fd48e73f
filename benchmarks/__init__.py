"""Benchmarks: figures that README and docs quote come from here."""
