"""FedClamp from Python: own methods, runs, and results as arrays and tables."""
from . import importers
from .events import NoRun, tensorboard
from .files import Run, load, results
from .methods import Aggregate, Context, FMData, malicious_update, model_defense, rule, serve, trigger
from .network import inputs, maxima, network, network_of
from .program import FedClampError, executable, reproduce, run, sweep

__version__ = "0.1.0"
__all__ = [
    "Aggregate", "Context", "FMData", "FedClampError", "NoRun", "Run", "executable", "importers", "inputs", "load", "malicious_update",
    "maxima", "model_defense", "network", "network_of", "reproduce", "results", "rule", "run", "serve", "sweep", "tensorboard", "trigger",
]
