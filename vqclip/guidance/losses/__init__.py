"""Measure what the optimiser minimises."""
