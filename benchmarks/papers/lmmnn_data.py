"""The real data of the LMMNN paper that are at hand, as its tables use them: features, grouping factors, outcome.

Steps are those of the public code as far as the columns are there; where they are not (Airbnb), they are said at the
function. Missing numbers are filled with the median of all rows, as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from toolkit.data.grouped import GroupedDataset

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
PLACES = ("x_coord", "y_coord")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Study:
    """Rows of a study.

    Attributes:
        data: the rows; coordinates are the last features where there are places.
        bounds: of the outcome; predictions are cut there.
        random: random effects of a linear mixed model, and of LMMNN.
        published: mean squared error in the paper, by model and mode.
    """

    data: GroupedDataset
    bounds: tuple[float, float]
    random: str
    published: dict[str, float]


def insteval(folder: Path) -> Study:
    """Students rate lecturers (Table 7): ages of studies and lectures, service; student, lecturer, department."""
    frame = pd.read_parquet(folder / "insteval.parquet")
    return Study(
        data=_data(frame, "y", ["studage", "lectage", "service"], ["s", "d", "dept"]),
        bounds=(1.0, 5.0),
        random="(1 | s) + (1 | d) + (1 | dept)",
        published={"ignore": 1.769, "one-hot": 1.481, "embeddings": 1.499, "lmm": 1.447, "lmmnn": 1.449},
    )


def spotify(folder: Path) -> Study:
    """Danceability of tracks (Table 7): audio features and date; artist, album, sets of playlists and subgenres."""
    frame = pd.read_parquet(folder / "spotify_songs.parquet")
    sets = frame.groupby("track_id")[["playlist_id", "playlist_subgenre"]].agg(
        lambda names: ",".join(sorted(set(names)))
    )
    frame = frame.drop_duplicates("track_id").set_index("track_id")
    frame["playlists"], frame["subgenres"] = sets["playlist_id"], sets["playlist_subgenre"]
    date = pd.to_datetime(frame["track_album_release_date"].str.slice(0, 10).str.pad(4), format="mixed")
    frame = frame.assign(year=date.dt.year, month=date.dt.month, wday=date.dt.dayofweek)
    audio = ["energy", "key", "loudness", "mode", "speechiness", "acousticness", "instrumentalness", "liveness"]
    audio += ["valence", "tempo", "duration_ms"]
    frame = frame.rename(columns={"track_artist": "artist", "track_album_id": "album"}).reset_index(drop=True)
    frame["artist"] = frame["artist"].fillna("unknown")
    return Study(
        data=_data(
            frame, "danceability", [*audio, "year", "month", "wday"], ["artist", "album", "playlists", "subgenres"]
        ),
        bounds=(0.0, 1.0),
        random="(1 | artist) + (1 | album) + (1 | playlists) + (1 | subgenres)",
        published={"ignore": 0.0145, "embeddings": 0.0164, "lmm": 0.0107, "lmmnn": 0.0093},
    )


def nlswork(folder: Path) -> Study:
    """Log wages of young women over 20 years; stands in for the paper's longitudinal studies (Table 9)."""
    frame = pd.read_parquet(folder / "nlswork.parquet")
    t = (frame["year"] - frame["year"].min()) / (frame["year"].max() - frame["year"].min())
    numbers = ["age", "birth_yr", "msp", "nev_mar", "grade", "collgrad", "not_smsa", "c_city", "south", "wks_ue"]
    numbers += ["ttl_exp", "tenure", "hours", "wks_work", "union"]
    codes = frame[["race", "ind_code", "occ_code"]].fillna(0).astype(int).astype(str)
    features = pd.concat(
        [
            frame[numbers].fillna(frame[numbers].median()),
            frame[["union", "wks_ue"]].isna().add_prefix("no_").astype(float),
            pd.get_dummies(codes, dtype=float),
            pd.DataFrame({"t": t, "t2": t**2}),
        ],
        axis=1,
    )
    rows = features.assign(idcode=frame["idcode"], y=frame["ln_wage"])
    return Study(
        data=_data(rows, "y", [str(name) for name in features], ["idcode"], "t"),
        bounds=(-np.inf, np.inf),
        random="(1 + t | idcode)",
        published={},
    )


def airbnb(folder: Path) -> Study:
    """Log prices of listings in New York (Table 11): host, and place rounded to 2 decimals and scaled to -10 to 10.

    The file of 2019 has 16 columns; the paper's has 196 features, made of texts and equipment that are not in it, and
    its air conditioning, the target of Table 13, is not either. Listings without a price are left out.
    """
    frame = pd.read_parquet(folder / "airbnb_nyc_2019.parquet")
    frame = frame[frame["price"] > 0].reset_index(drop=True)
    reviewed = pd.to_datetime(frame["last_review"], format="mixed")
    days = (reviewed.max() - reviewed).dt.days
    places = frame[["longitude", "latitude"]].round(2)
    scaled = 20.0 * (places - places.min()) / (places.max() - places.min()) - 10.0
    counts = ["minimum_nights", "number_of_reviews", "calculated_host_listings_count"]
    features = pd.concat(
        [
            pd.get_dummies(frame[["room_type", "neighbourhood_group"]], dtype=float),
            frame[counts].transform("log1p"),
            frame[["availability_365"]].astype(float),
            frame["reviews_per_month"].fillna(0.0),
            days.fillna(days.median()).transform("log1p").rename("days_since_review"),
            reviewed.isna().astype(float).rename("no_review"),
            scaled.set_axis(list(PLACES), axis=1),
        ],
        axis=1,
    )
    location = places["longitude"].map("{:.2f}".format) + " " + places["latitude"].map("{:.2f}".format)
    rows = features.assign(host=frame["host_id"], location=location, y=np.log(frame["price"]))
    return Study(
        data=_data(rows, "y", [str(name) for name in features], ["host", "location"]),
        bounds=(-np.inf, np.inf),
        random="(1 | host) + (1 | location)",
        published={"ignore": 0.156, "embeddings": 0.177, "lmmnn": 0.139},
    )


STUDIES = {"insteval": insteval, "spotify": spotify, "nlswork": nlswork, "airbnb": airbnb}
FILES = {"insteval": "insteval", "spotify": "spotify_songs", "nlswork": "nlswork", "airbnb": "airbnb_nyc_2019"}


def _data(
    frame: pd.DataFrame, target: str, features: Sequence[str], groups: Sequence[str], time: str | None = None
) -> GroupedDataset:
    """Rows as models read them."""
    frame = frame.assign(**{name: frame[name].astype(str) for name in groups})
    frame[list(features)] = frame[list(features)].astype(np.float64)
    return GroupedDataset.from_frame(
        frame, target=target, features=list(features), groups=list(groups), time=time, pseudonymous=True
    )
