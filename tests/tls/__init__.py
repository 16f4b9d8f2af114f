"""Encrypted listeners, from outside."""
