"""Where evaluation families stand, as far as metrics tell it."""
