"""Plain values: what everything else is written in terms of."""
