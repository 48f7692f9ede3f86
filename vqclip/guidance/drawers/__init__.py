"""Decode a latent into an image."""
