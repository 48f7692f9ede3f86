"""Train the models in checkpoints/. Run a module from the repository's root: python -m training.clip"""
