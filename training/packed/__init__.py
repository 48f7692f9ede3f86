"""Read and write the packed file: all that one training needs."""
