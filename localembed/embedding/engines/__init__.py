"""The engines that compute batches: one file each, all with the methods of `base.Engine`."""
