"""What computes a batch: one file an engine, all with the methods of `base.Engine`."""
