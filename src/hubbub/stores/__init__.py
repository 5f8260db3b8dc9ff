"""What keeps the logs of rooms beyond memory: the stores, each in files of its own."""
