"""From a listening socket to a client that may come in."""
