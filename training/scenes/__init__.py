"""Choose scenes at random, render them and caption them."""
