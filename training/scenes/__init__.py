"""Draw scenes by lot, paint them and caption them."""
