"Large packages, imported once for the processes that run the notebooks."

import matplotlib.pyplot  # noqa: F401
import pandas  # noqa: F401
import pytest  # noqa: F401
import scipy.stats  # noqa: F401
import sklearn  # noqa: F401
import spacy  # noqa: F401
import torch  # noqa: F401
from nbdev import test  # noqa: F401

from litlab.core.extras import require_without

for package in ("torch_geometric", "sentence_transformers"):
    require_without(package, "snappy")  # who knows it opens its tables for one thread
