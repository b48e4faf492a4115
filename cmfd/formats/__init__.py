"""Other programs' formats: taken in as packs, given out from the index."""
