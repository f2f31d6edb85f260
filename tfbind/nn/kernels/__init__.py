"""tfbind.nn.kernels"""
