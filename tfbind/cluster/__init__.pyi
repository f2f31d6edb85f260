from . import protocol as protocol
from .runs import Cluster as Cluster
from .task import scorer as scorer
