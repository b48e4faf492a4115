-- Who has not ended, or ended of late, is asked for often, and most have long ended.
CREATE INDEX instance_by_end ON instance (ended_ns);
