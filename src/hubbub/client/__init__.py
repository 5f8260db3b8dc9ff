"""The dialling side."""
