"""Starts the service on each database and runs every client folder against it."""
