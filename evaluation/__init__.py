"""Score images with a CLIP that takes no part in generating them: python -m evaluation.ranking"""
