"""Show runs on one HTML page, which needs neither a server nor a network."""
