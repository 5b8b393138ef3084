"""FedClamp from Python: own methods, runs, and results as arrays and tables."""
from .methods import Aggregate, Context, FMData, malicious_update, model_defense, rule, serve, trigger

__version__ = "0.1.0"
__all__ = ["Aggregate", "Context", "FMData", "malicious_update", "model_defense", "rule", "serve", "trigger"]
