"""Basics that every package may use: files, hashes, folders, processes, the offline guard."""
