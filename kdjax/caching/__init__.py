"""A teacher's outputs on disk, for the very crops that its students are trained on.

Both are a pure function of (seed, epoch, index), whatever the batch size. The directory
has manifest.json, what the outputs depend on and what is stored of them, and for each
epoch, 00000/ and so on, arrays as .npy and their checksums.
"""
