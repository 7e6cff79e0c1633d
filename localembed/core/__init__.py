"""What every room may use: files, hashes, folders, processes, the offline guard."""
