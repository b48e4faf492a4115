"""The cmfd command."""
