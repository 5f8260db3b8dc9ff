"""The servers that `hubbub serve` has by name: each is a handler in a module of its own."""
