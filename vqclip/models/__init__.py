"""Build the frozen networks: the VQGAN and CLIP."""
