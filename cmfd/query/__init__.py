"""Questions to a site index; nothing here writes."""
