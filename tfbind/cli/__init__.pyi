from . import (
    compare as compare,
    data as data,
    doctor as doctor,
    predict as predict,
    runs as runs,
    sweep as sweep,
    ui as ui,
    wandb as wandb,
)
from .output import SHARE as SHARE, Parser as Parser, print_error as print_error
