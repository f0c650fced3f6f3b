"""Zimwatch and everything around it in one thread on virtual time, with faults by a seed: see docs/simulation.md."""
