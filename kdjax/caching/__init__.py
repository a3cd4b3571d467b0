"""A teacher's outputs on disk, for the very crops that its students are trained on.

Crops are a pure function of (seed, epoch, index), and so are teacher outputs, whatever
the batch size. A cache is a directory:

    manifest.json            what the outputs depend on, and what is stored of them
    00000/ 00001/ ...        an epoch each: arrays as .npy, and their checksums
"""
