"""Embed crops and texts."""
