"""Make the image that an optimisation starts from."""
