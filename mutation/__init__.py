"""Mutation testing of the core: break it in small ways, and see whether the tests notice (`make mutation`)."""
