from . import bigwig as bigwig, bigwig_writer as bigwig_writer
from .codes import (
    LETTERS as LETTERS,
    NOT_A_LETTER as NOT_A_LETTER,
    UNKNOWN as UNKNOWN,
    Changes as Changes,
    Codes as Codes,
    InvalidLetter as InvalidLetter,
    codes_of_bytes as codes_of_bytes,
    decode as decode,
    describe as describe,
    encode as encode,
    encode_each as encode_each,
    encode_one as encode_one,
    invalid_letter_message as invalid_letter_message,
    one_hot as one_hot,
    reverse_complement as reverse_complement,
    shorten as shorten,
    take_slice as take_slice,
    word_numbers as word_numbers,
)
from .fasta import (
    Genome as Genome,
    Progress as Progress,
    contigs as contigs,
    cut_windows as cut_windows,
    genome_chunks as genome_chunks,
    keep_fasta as keep_fasta,
)
from .formats import plain_text as plain_text
from .intervals import (
    Placements as Placements,
    Position as Position,
    bare as bare,
    bed_name as bed_name,
    check_apart as check_apart,
    match_chromosomes as match_chromosomes,
    place_records as place_records,
    position_of as position_of,
    window_place as window_place,
    window_places as window_places,
)
from .parser import (
    Record as Record,
    TooLarge as TooLarge,
    decompressed as decompressed,
    read_chunks as read_chunks,
    read_records as read_records,
    unique_names as unique_names,
)
from .regions import (
    Region as Region,
    random_windows as random_windows,
    read_regions as read_regions,
    windows_around as windows_around,
)
