"""The HTTP face: rooms as streams, for browsers, curl and scripts."""
