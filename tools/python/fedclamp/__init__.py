"""FedClamp from Python: own methods, runs, and results as arrays and tables."""
from .methods import Aggregate, Context, FMData, malicious_update, model_defense, rule, serve, trigger
from .network import inputs, maxima, network, network_of

__version__ = "0.1.0"
__all__ = ["Aggregate", "Context", "FMData", "inputs", "malicious_update", "maxima", "model_defense", "network", "network_of", "rule",
           "serve", "trigger"]
