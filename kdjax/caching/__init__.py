"""A teacher's answers on disk, for the very crops that its students will see.

Crops are a pure function of (seed, epoch, index), so answers are too: they are laid out
[epoch][index], whatever the batch size. A cache is a directory:

    manifest.json            what the answers depend on, and what is stored of them
    00000/ 00001/ ...        an epoch each: arrays as .npy, and their checksums

It stands above checkpoints, whose error for damaged files it shares and whose digests
it names its teacher by, and above reporting, whose way to replace a file it uses;
`build` finds the cache that a config names.
"""
