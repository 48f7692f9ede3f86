"""Provide errors, seeds, files, devices and paths to every other folder."""
