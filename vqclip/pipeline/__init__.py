"""Turn a Config into an image or a film."""
