"""Images and labels: prepared sets, the order of samples, augmentation and feeds."""
