"""Exchange of packs between sites, as git exchanges commits."""
