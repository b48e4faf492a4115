"""What a rank or wrapper holds: its journal, and the API that writes to it."""
