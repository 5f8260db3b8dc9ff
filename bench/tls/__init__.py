"""TLS transports beside each other: what an idle connection takes, and how fast one stream goes to many readers."""
