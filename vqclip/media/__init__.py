"""Read and write image and video files."""
