"""What happens beside the training: pictures, predictions, the table at the end, loggers."""

from lightning_pose.callbacks.contact_sheet import ContactSheet
from lightning_pose.callbacks.loggers import log_config, log_picture
from lightning_pose.callbacks.predictions import SavePredictions
from lightning_pose.callbacks.summary import RunSummary

__all__ = ["ContactSheet", "RunSummary", "SavePredictions", "log_config", "log_picture"]
