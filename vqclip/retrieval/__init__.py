"""Classify, embed, search and rank files of images with the perceptors that guide."""
