"""What was said in a room, and one reader's place in it. It does no I/O."""
