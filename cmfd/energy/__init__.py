"""What a node's energy counters say, and whose energy it was; never imported by a rank."""
