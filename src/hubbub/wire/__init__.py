"""One connection's bytes: the link, TLS, and the options of TCP."""
