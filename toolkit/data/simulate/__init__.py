"""Data with known truth, one generator a module."""

from __future__ import annotations

from toolkit.data.demo.dyads import DyadsTruth as DyadsTruth
from toolkit.data.demo.dyads import dyads as dyads
from toolkit.data.simulate.affect_video import AffectVideo as AffectVideo
from toolkit.data.simulate.affect_video import affect_video as affect_video
from toolkit.data.simulate.lmmnn import lmmnn as lmmnn
from toolkit.data.simulate.mixed_effects import MixedEffectsTruth as MixedEffectsTruth
from toolkit.data.simulate.multiclass import multiclass as multiclass
