"""The server: its life, its sessions, their deadlines, and how to watch it."""
