"""Many machines: Ray Data spreads the files, each worker does what FolderEnhancer does to one."""
