"""Serve the gallery's page on this machine, with a queue of images to generate."""
