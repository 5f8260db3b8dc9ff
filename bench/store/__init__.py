"""A store, measured by itself."""
