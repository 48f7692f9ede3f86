"""Optimise a latent: cutouts, perceptors, losses, the optimiser's state and the loop."""
