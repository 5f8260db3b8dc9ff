"""Rooms, and the clients that read them."""
