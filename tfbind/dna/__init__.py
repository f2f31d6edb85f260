"""DNA as numbers and in files: letters and codes, FASTA and other formats, genomes, intervals, BED and bigWig.

Codes are uint8 with A C G T N = 0 1 2 3 4; intervals are 0-based and half-open.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
