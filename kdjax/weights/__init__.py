"""Weights from elsewhere and for elsewhere.

    names         torchvision's name of a ResNet's array <-> its path here; pure
    layouts       families of networks, and what PyTorch's packages call their arrays
    variants      networks that have the names of ours and are others
    trees         a file's tensors <-> (params, batch_stats), each used once
    shortcuts     the shortcut without parameters, as a projection
    safetensors   files of arrays, read and written by NumPy alone
    torch_files   .pth and .th, where PyTorch is installed
    imported      weights from elsewhere as a checkpoint of a run that never was
    adapters      a teacher of another input size, or of classes in another order
    moments       a teacher's own mean and standard deviation
    programs      a network with its weights as one StableHLO program
    onnx_graphs   ONNX nodes, and a file of them
    onnx_networks each family of networks as such nodes

It stands above checkpoints: an import ends in one, an export begins with one.
"""
