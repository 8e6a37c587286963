"""Checks of what would fail hours later, before the first job; nothing is changed by them."""
