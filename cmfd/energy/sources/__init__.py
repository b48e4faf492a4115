"""One module for each kind of counter, and for the models where there is none."""
