"""The manual pages, made of the commands' own help."""
