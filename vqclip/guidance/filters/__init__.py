"""Change an image before it is scored."""
