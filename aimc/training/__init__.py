"""Training of any nnx model, digital or on arrays: recipes, the pure loop, runs under a directory."""

from aimc.evaluation.score import score as score
from aimc.training.loop import Diverged as Diverged
from aimc.training.loop import Info as Info
from aimc.training.loop import fit as fit
from aimc.training.loop import step as step
from aimc.training.recipe import RECIPES as RECIPES
from aimc.training.recipe import Ranges as Ranges
from aimc.training.recipe import Recipe as Recipe
from aimc.training.run import train_in as train_in
from aimc.training.state import TrainState as TrainState
from aimc.training.state import init as init
from aimc.training.state import trained as trained
