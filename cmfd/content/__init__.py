"""What content is the same: digests of files, directories, and data sets inside of files."""
