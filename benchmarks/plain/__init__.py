"""Implement the loop of earlier VQGAN+CLIP programs, for comparison."""
