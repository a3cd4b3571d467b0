"""Images and labels at run time: prepared sets, loaders, augmentation, label noise."""
