from . import bigwig as bigwig, bigwig_writer as bigwig_writer
from .codes import (
    LETTERS as LETTERS,
    NOT_A_LETTER as NOT_A_LETTER,
    UNKNOWN as UNKNOWN,
    Changes as Changes,
    Codes as Codes,
    RefusedLetter as RefusedLetter,
    codes_of_bytes as codes_of_bytes,
    decode as decode,
    describe as describe,
    encode as encode,
    encode_each as encode_each,
    encode_one as encode_one,
    one_hot as one_hot,
    refusal as refusal,
    reverse_complement as reverse_complement,
    short as short,
    slice_of as slice_of,
)
from .fasta import (
    Genome as Genome,
    Progress as Progress,
    contigs as contigs,
    cut as cut,
    keep_fasta as keep_fasta,
    stretches as stretches,
)
from .formats import plain_text as plain_text, with_newlines as with_newlines
from .intervals import (
    Place as Place,
    Placing as Placing,
    Region as Region,
    around as around,
    check_apart as check_apart,
    column as column,
    elsewhere as elsewhere,
    other_name as other_name,
    place_of as place_of,
    places as places,
    read_regions as read_regions,
    renamed as renamed,
    window_place as window_place,
    window_places as window_places,
)
from .parser import (
    Record as Record,
    TooLarge as TooLarge,
    read_pieces as read_pieces,
    read_records as read_records,
    unique_names as unique_names,
    unpacked as unpacked,
)
