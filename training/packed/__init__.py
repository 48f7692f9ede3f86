"""Read and write the packed file, which holds all that one training needs."""
