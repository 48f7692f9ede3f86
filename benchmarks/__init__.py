"""Measure speed, memory and quality: python -m benchmarks.bench"""
